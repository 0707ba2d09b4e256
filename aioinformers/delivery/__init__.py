"""From the cache to the handlers: each consumer's backlog, and what works it off.

``mailbox`` keeps what a consumer has yet to get, ``consumer`` and ``stream`` deliver it; ``events`` are what they
deliver, ``handlers`` the forms of what they call.
"""

from __future__ import annotations

__all__: list[str] = []
