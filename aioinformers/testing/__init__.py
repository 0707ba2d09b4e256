"""Tools for testing code that uses informers: an embedded API server and virtual time.

``status``, ``resources``, ``documents``, ``table``, ``storage``, ``selection``, ``listing``, ``watching``,
``routing`` and ``discovery`` are pure; ``exchange``, ``handlers`` and ``server`` put them on a socket;
``clock`` is an event loop whose time jumps; ``chaos`` is a proxy that harms connections; ``pytest_plugin``
brings fixtures.

The names are loaded when they are first used: pytest loads the plugin in every run of its users.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioinformers.testing.chaos import ChaosProxy
    from aioinformers.testing.clock import VirtualTimeLoop, run_virtual
    from aioinformers.testing.exchange import Ending, Fault, drop_bookmarks
    from aioinformers.testing.resources import DEFAULT_RESOURCES, Resource
    from aioinformers.testing.routing import RequestInfo
    from aioinformers.testing.server import FakeAPIServer, Interceptor
    from aioinformers.testing.status import StatusError
    from aioinformers.testing.storage import Backup

__all__ = [
    "DEFAULT_RESOURCES",
    "Backup",
    "ChaosProxy",
    "Ending",
    "FakeAPIServer",
    "Fault",
    "Interceptor",
    "RequestInfo",
    "Resource",
    "StatusError",
    "VirtualTimeLoop",
    "drop_bookmarks",
    "run_virtual",
]

_MODULES = {
    "DEFAULT_RESOURCES": "resources",
    "Backup": "storage",
    "ChaosProxy": "chaos",
    "Ending": "exchange",
    "FakeAPIServer": "server",
    "Fault": "exchange",
    "Interceptor": "server",
    "RequestInfo": "routing",
    "Resource": "resources",
    "StatusError": "status",
    "VirtualTimeLoop": "clock",
    "drop_bookmarks": "exchange",
    "run_virtual": "clock",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
