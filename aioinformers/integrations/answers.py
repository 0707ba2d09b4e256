"""What a program answers to requests about itself, whatever serves them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from aioinformers.checks import require_seconds, shown, truth_of
from aioinformers.integrations.access import HINT, Allow, Peer, is_local, require_allow
from aioinformers.integrations.exposition import CONTENT_TYPE, exposition
from aioinformers.integrations.families import families
from aioinformers.integrations.page.assets import PLACE, asset_at
from aioinformers.integrations.page.samples import NOTHING
from aioinformers.integrations.page.viewing import Viewing
from aioinformers.integrations.privacy import without_hosts, without_keys
from aioinformers.integrations.probes import Probe, live, ready, ready_now, startup
from aioinformers.integrations.snapshot import Snapshot
from aioinformers.integrations.text import probe_text, statusz
from aioinformers.tally import Tally, so_often

__all__ = ["Answer", "Answers", "require_answering"]

logger: logging.Logger = logging.getLogger("aioinformers.status")

PATHS: Final = ("/startupz", "/readyz", "/livez", "/statusz", "/status.json", "/metrics")
"""What is answered, beside the page at ``/`` and its files."""

FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
"""Of files whose names change with what is in them."""
POLICY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
"""What a browser may do with the page: nothing but show it, and ask this program for more of it."""

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
_HTML: Final = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        status: HTTP status.
        body: The body.
        content_type: What it is.
        headers: Further headers.
    """

    status: int
    body: bytes
    content_type: str = _TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


class Answers:
    """Answers requests about one program. Nothing happens between them.

    Args:
        look: Returns a snapshot of the program.
        max_stale: Seconds since a server was last heard of, after which the program is not ready; None for ever.
        allow: Tells who may see the reasons and hosts; by default whoever is on this machine.
        show_keys: Show them names of objects, too.
        observe: Called at each scrape: what costs something is measured from then on.
        viewing: Measures while somebody looks at the page.
    """

    def __init__(
        self,
        look: Callable[[], Snapshot],
        *,
        max_stale: float | None = None,
        allow: Allow = is_local,
        show_keys: bool = False,
        observe: Callable[[], None] = lambda: None,
        viewing: Viewing | None = None,
    ) -> None:
        self._look = look
        self._observe = observe
        self._max_stale = max_stale
        self._allow = allow
        self._show_keys = show_keys
        self._viewing = viewing
        self._have_been_ready: frozenset[int] = frozenset()
        self._tally = Tally()

    def close(self) -> None:
        """End what a viewer may have left behind, at once."""
        if self._viewing is not None:
            self._viewing.close()

    def answer(self, method: str, path: str, query: str, peer: Peer) -> Answer:
        """Return the answer to a request.

        Args:
            method: Such as ``GET``.
            path: The path below the place where this is served.
            query: The query string.
            peer: Who asks.
        """
        path = path.rstrip("/") or "/"
        asset = asset_at(path[1:]) if path.startswith(f"/{PLACE}/") else None
        if path not in PATHS and path != "/" and asset is None:
            return Answer(404, f"there is no {path}: try {', '.join(('/', *PATHS))}\n".encode(errors="replace"))
        if method not in ("GET", "HEAD"):
            return Answer(405, b"this can only be read\n", headers={"Allow": "GET, HEAD"})
        if asset is not None:  # the same in every program
            return Answer(200, asset.body, asset.content_type, FOR_EVER)
        may_see = self._may_see(peer)
        match path:
            case "/startupz" | "/readyz" | "/livez":
                return self._probe(path, parse_qs(query, keep_blank_values=True), peer, may_see=may_see)
            case "/metrics":
                return self._metrics(may_see=may_see)
        if not may_see:
            return Answer(403, HINT.encode(errors="backslashreplace"))
        if path == "/":
            return self._page(parse_qs(query, keep_blank_values=True))
        seen = self._shown()
        if path == "/status.json":
            return Answer(200, msgspec.json.encode(seen, enc_hook=_text_of), _JSON)
        return Answer(200, statusz(seen).encode(errors="backslashreplace"))

    def _may_see(self, peer: Peer) -> bool:
        """Ask who may see it; whoever cannot tell has not allowed it, and neither probes nor metrics depend on it."""
        try:
            return truth_of(self._allow(peer), "allow")
        except Exception:
            if count := self._tally.note("allow"):
                logger.exception("allow raised, so that nothing is shown%s", so_often(count))
            return False

    def _shown(self) -> Snapshot:
        """Return what may be shown to who may see it."""
        return self._look() if self._show_keys else without_keys(self._look())

    def _page(self, query: Mapping[str, list[str]]) -> Answer:
        try:
            from aioinformers.integrations.page.document import document, fragment
        except ImportError as error:
            return Answer(501, f"{error}\n".encode(errors="backslashreplace"))
        sampled = NOTHING if self._viewing is None else self._viewing.look(show_keys=self._show_keys)
        seen = self._shown()
        if "part" in query:
            opened = frozenset(",".join(query.get("open", ())).split(","))
            return Answer(200, fragment(seen, sampled, opened).encode(errors="backslashreplace"), _HTML, POLICY)
        return Answer(200, document(seen, sampled).encode(errors="backslashreplace"), _HTML, POLICY)

    def _probe(self, path: str, query: Mapping[str, Any], peer: Peer, *, may_see: bool) -> Answer:
        seen = self._look()
        match path:
            case "/startupz":
                probe = startup(seen)
            case "/livez":
                probe = live(seen)
            case _:
                probe = ready(seen, have_been=self._have_been_ready, max_stale=self._max_stale)
                self._have_been_ready = ready_now(seen) | self._have_been_ready
        status = 200 if probe.is_ok else 503
        if _JSON in peer.headers.get("accept", ""):
            return Answer(status, _probe_json(probe, has_reasons=may_see), _JSON)
        return Answer(
            status,
            probe_text(probe, is_verbose="verbose" in query, has_reasons=may_see).encode(errors="backslashreplace"),
        )

    def _metrics(self, *, may_see: bool) -> Answer:
        self._observe()
        seen = self._look()
        return Answer(200, exposition(families(seen if may_see else without_hosts(seen))), CONTENT_TYPE)


def require_answering(max_stale: Any, allow: Any, show_keys: Any) -> None:
    """Refuse what answers cannot go by, where it is given and not when somebody asks.

    Raises:
        TypeError: If ``allow`` is no plain function of the peer, or another argument is of another type.
        ValueError: If ``max_stale`` is not positive.
    """
    require_allow(allow)
    require_seconds("max_stale", max_stale)
    if max_stale is not None and not max_stale > 0:
        raise ValueError(f"max_stale is a number of seconds above 0, not {max_stale!r}")
    if not isinstance(show_keys, bool):
        raise TypeError(f"show_keys is True or False, not {shown(show_keys)}")


def _probe_json(probe: Probe, *, has_reasons: bool) -> bytes:
    checks = [
        {"name": each.name, "ok": each.is_ok, **({"reason": each.reason} if each.reason and has_reasons else {})}
        for each in probe.checks
    ]
    return json.dumps({"name": probe.name, "ok": probe.is_ok, "checks": checks}).encode()


def _text_of(value: Any) -> str:
    """Say what JSON has no form for."""
    return str(value)
