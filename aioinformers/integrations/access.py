"""Who may see what a program does: its keys, its errors, its API server. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aioinformers.checks import require_plain

__all__ = ["HINT", "Allow", "Peer", "is_local", "require_allow"]

HINT: Final = (
    "only a peer on this machine may see this, without a proxy in between: use `kubectl port-forward` and "
    "http://localhost, or pass allow= to say who else may\n"
)
"""What others are told."""

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LOCAL_ADDRESSES: Final = frozenset({ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")})
"""What a peer here has; others of ``127.0.0.0/8`` are those of proxies, as Istio's 127.0.0.6."""
_FORWARDED: Final = frozenset({"forwarded", "via", "x-request-id", "x-client-ip", "cf-ray", "traceparent"})
_FORWARDED_BEGIN: Final = ("x-forwarded-", "x-envoy-", "x-real-", "x-original-", "x-b3-", "cf-")
_FORWARDED_END: Final = ("-client-ip", "-connecting-ip")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks.

    Attributes:
        address: The IP address of the other end; empty if it is not known, as with a Unix socket.
        headers: The request's headers, names in lower case.
    """

    address: str
    headers: Mapping[str, str]


Allow: TypeAlias = Callable[[Peer], bool]
"""Tells whether somebody may see it; may be called in any thread."""


def is_local(peer: Peer) -> bool:
    """Tell whether somebody sits at this machine: what ``kubectl port-forward`` looks like.

    A page of another site that a browser here shows has another ``Host``, even if its name resolves to this machine.
    Most proxies on this machine say in a header whom they ask for; one that says nothing, as nginx with a bare
    ``proxy_pass http://127.0.0.1``, cannot be told from a person: it must not serve these paths.

    Args:
        peer: Who asks.
    """
    try:
        address = ipaddress.ip_address(peer.address)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    host = peer.headers.get("host", "").lower()
    name, _, port = (host, "", "") if host.endswith("]") else host.rpartition(":")
    return (
        (mapped or address) in _LOCAL_ADDRESSES
        and (host in _LOCAL_NAMES or (name in _LOCAL_NAMES and port.isdecimal()))
        and not any(map(_is_of_proxy, peer.headers))
    )


def require_allow(allow: Any) -> None:
    """Refuse what cannot tell who may see it.

    Raises:
        TypeError: If it is no plain function of one argument.
    """
    require_plain(allow, "allow", "the peer")


def _is_of_proxy(header: str) -> bool:
    return header in _FORWARDED or header.startswith(_FORWARDED_BEGIN) or header.endswith(_FORWARDED_END)
