"""The tables of the status page: informers, handlers, controllers, elections, the tail. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias

from markupsafe import Markup

from aioinformers.integrations.page.drawers import controller_drawer, informer_drawer
from aioinformers.integrations.page.figures import badge, bar, identifier, label, number, rate_text, tag, tone_of
from aioinformers.integrations.page.markup import NOTHING_AT_ALL, fill, joined
from aioinformers.integrations.page.samples import Change, Sampled
from aioinformers.integrations.snapshot import (
    ControllerView,
    FactoryView,
    InformerView,
    Snapshot,
    Strain,
    Verdict,
    strain_of,
)
from aioinformers.integrations.text import duration, filtered, lasting, quantile_text, queued_text, size
from aioinformers.statistics import ConsumerStatistics, ControllerState, ElectionStatistics

__all__ = [
    "MOST_HANDLERS", "MOST_INFORMERS", "Opened", "controllers_table", "elections_table", "handlers_table",
    "informers_table", "tail_list",
]  # fmt: skip

Opened: TypeAlias = frozenset[str] | None
"""Ids of the rows that are open; None if nobody knows, so that each has its drawer."""

MOST_INFORMERS: Final = 200
"""Informers of a factory that have a row: a page is made in the event loop, and sent again each second."""
MOST_HANDLERS: Final = 100
"""Handlers that have a row."""
MOST_TRANSITIONS: Final = 50
"""Changes of state in a drawer that is open."""
FEW_TRANSITIONS: Final = 5
"""Changes of state in one that can be opened without JavaScript: each page has all of them."""

_WIDE: Final = frozenset({"Informer", "Handler", "Controller", "Election"})
_TEXT: Final = frozenset({"State", "Slowest now", "Candidate", "Holder", "Queued", "Busy", "Running"})


def _table(caption: str, columns: Sequence[str], rows: Iterable[Markup]) -> Markup:
    kinds = ["wide" if each in _WIDE else "text" if each in _TEXT else "number" for each in columns]
    heads = joined(fill('<th class="%s" scope="col">%s</th>', *each) for each in zip(kinds, columns, strict=True))
    return fill(
        '<table><caption class="unseen">%s</caption><thead><tr>%s</tr></thead>%s</table>', caption, heads, joined(rows)
    )


def _more(count: int) -> Markup:
    """Return how many rows a table does not have, and where they are."""
    if not count:
        return NOTHING_AT_ALL
    return fill('<p class="empty">and %s more, which <a href="statusz">the text</a> has</p>', number(count))


def _cell(name: str, value: object) -> Markup:
    """Return a cell; its label stands beside it where the table is too narrow for columns."""
    return fill('<td data-label="%s">%s</td>', name, value)


def _number(name: str, value: object, tone: str = "") -> Markup:
    """Return a cell with a figure."""
    return fill('<td class="number %s" data-label="%s">%s</td>', tone, name, value)


def _gauge(name: str, share: float, tone: str, words: str) -> Markup:
    """Return a cell with a bar, and what it shows in figures."""
    return fill(
        '<td class="gauge" data-label="%s">%s<span class="figures">%s</span></td>', name, bar(share, tone), words
    )


def _informer_name(name: str) -> Markup:
    """Return the name of an informer: the resource, and behind it what narrows it."""
    resource, between, rest = name.partition(" ")
    return fill('%s<span class="dim">%s%s</span>', resource, between, rest) if rest else fill("%s", resource)


def _opener(row: str, name: str, remarks: Markup, *, is_open: bool) -> Markup:
    """Return the cell that a row begins with, and opens with."""
    return fill(
        '<th class="wide" scope="row"><details id="%s-d"%s><summary id="%s-s"><span class="name">%s</span></summary>'
        "</details>%s</th>",
        row, Markup(" open") if is_open else "", row, name, remarks,
    )  # fmt: skip


def _drawer(columns: int, content: Markup | None) -> Markup:
    if content is None:  # the browser keeps what it has, which nobody sees
        return fill('<tr class="drawer" data-closed><td colspan="%s"></td></tr>', columns)
    return fill('<tr class="drawer"><td colspan="%s">%s</td></tr>', columns, content)


def _why(columns: int, tone: str, reason: str) -> Markup:
    if not reason:
        return NOTHING_AT_ALL
    return fill('<tr class="why %s"><td colspan="%s">%s</td></tr>', tone, columns, reason)


# -- informers ----------------------------------------------------------------------------------------------------

_INFORMERS: Final = ("Informer", "State", "Objects", "Memory", "Events/s", "Last heard", "resourceVersion", "Lists")


def informers_table(seen: Snapshot, factory: FactoryView, sampled: Sampled, opened: Opened) -> Markup:
    """Return the informers of a factory, problems first; of very many the first ones."""
    rows = (_informer(seen, factory, each, sampled, opened) for each in factory.informers[:MOST_INFORMERS])
    table = _table(f"Informers of {factory.name}", _INFORMERS, rows)
    return joined([table, _more(max(len(factory.informers) - MOST_INFORMERS, 0))])


def _informer(seen: Snapshot, factory: FactoryView, informer: InformerView, sampled: Sampled, opened: Opened) -> Markup:
    row, statistics, health = identifier(factory.name, informer.name), informer.statistics, informer.health
    versions = [scope.version for scope in statistics.scopes.values() if scope.version]
    relists = sum(count for scope in statistics.scopes.values() for count in scope.relists.values())
    again = fill(' <span class="dim">(%s again)</span>', relists) if relists else NOTHING_AT_ALL
    is_bad = informer.verdict in (Verdict.DEGRADED, Verdict.FAILED) or informer.advice is not None
    is_open = opened is not None and f"{row}-d" in opened
    has_drawer = opened is None or is_open
    most = MOST_TRANSITIONS if is_open else FEW_TRANSITIONS
    cells = [
        _opener(row, _informer_name(informer.name), joined(_remarks(informer)), is_open=is_open),
        fill('<td data-label="State">%s <span class="dim">%s</span></td>', badge(informer.verdict), lasting(informer)),
        _number("Objects", number(statistics.objects)),
        _number("Memory", size(informer.stored_bytes)),
        _number("Events/s", rate_text(sampled.rates.get((factory.name, informer.name)))),
        _number("Last heard", "–" if health.silent_for is None else f"{duration(health.silent_for)} ago"),
        _number("resourceVersion", f"{versions[0] if versions else '–'}{' …' if len(versions) > 1 else ''}"),
        _number("Lists", fill("%s%s", number(statistics.lists), again)),
    ]
    return fill(
        '<tbody id="%s"><tr>%s</tr>%s%s</tbody>',
        row,
        joined(cells),
        _why(len(_INFORMERS), "bad" if is_bad else "busy", "" if informer.verdict is Verdict.LIVE else health.reason),
        _drawer(len(_INFORMERS), informer_drawer(seen, informer, most=most) if has_drawer else None),
    )


def _remarks(informer: InformerView) -> Iterator[Markup]:
    if informer.is_optional:
        yield tag("optional")
    if informer.is_compact:
        yield tag("compact")
    if (health := informer.health).shard:
        yield tag(f"{health.shard}, {filtered(health)}", "odd" if health.shard_mode == "client" else "plain")
    if rejected := len(informer.statistics.rejected):
        yield tag(f"{rejected:,} cannot be read", "odd")
    if informer.health.warnings:
        yield tag("warning", "odd")


# -- handlers -----------------------------------------------------------------------------------------------------

_HANDLERS: Final = ("Handler", "Queued", "Busy", "p50", "p99", "Handled", "Failed", "Merged", "Slowest now")


def handlers_table(seen: Snapshot) -> Markup | None:
    """Return the handlers of all informers, those that cannot keep up first; None if there are none.

    Of very many only those that cannot keep up or fail, and the busiest.
    """
    handlers = [
        _Handler(factory.name, informer.name, name, each, strain_of(each))
        for factory in seen.factories
        for informer in factory.informers
        for name, each in informer.statistics.consumers.items()
    ]
    if not handlers:
        return None
    more = len(handlers) - MOST_HANDLERS
    if more > 0:
        handlers = heapq.nsmallest(MOST_HANDLERS, handlers, key=_by_interest)
    else:  # and otherwise as they were added, so that rows do not change places each second
        handlers.sort(key=lambda one: one.strain is Strain.NONE)
    rows = fill("<tbody>%s</tbody>", joined(map(_handler, handlers)))
    return joined([_table("Handlers", _HANDLERS, [rows]), _more(max(more, 0))])


class _Handler(NamedTuple):
    factory: str
    informer: str
    name: str
    statistics: ConsumerStatistics
    strain: Strain


def _by_interest(one: _Handler) -> tuple[bool, bool, int, int]:
    seen = one.statistics
    return one.strain is Strain.NONE, not seen.failed, -seen.queued - len(seen.busy_keys), -seen.handled


def _handler(one: _Handler) -> Markup:
    factory, informer, name, handler, strain = one
    busy, limit = len(handler.busy_keys), handler.limit
    tone = tone_of(strain)
    is_late = strain in (Strain.SLOW, Strain.STUCK)
    slowest: Markup | str = "–"
    if handler.busy_keys:
        longest = handler.busy_keys[0]
        template = '<span class="mono">%s</span> <span class="dim">for %s</span>'
        slowest = fill(template, longest.key, duration(longest.seconds))
    queued = f"{number(handler.queued)} / {'no limit' if limit is None else number(limit)}"
    cells = [
        fill(
            '<th class="wide" scope="row"><span class="name">%s</span>%s<span class="dim under">%s</span></th>',
            name, NOTHING_AT_ALL if strain is Strain.NONE else tag(strain.value, tone), informer,
        ),
        _gauge("Queued", handler.queued / limit if limit else 0.0, "good" if is_late else tone, queued),
        _gauge("Busy", busy / handler.concurrency, tone if is_late else "good", f"{busy} / {handler.concurrency}"),
        _number("p50", quantile_text(handler.latencies, 0.5)),
        _number("p99", quantile_text(handler.latencies, 0.99)),
        _number("Handled", number(handler.handled)),
        _number("Failed", number(handler.failed), "bad" if handler.failed else ""),
        _number("Merged", number(handler.coalesced)),
        _cell("Slowest now", slowest),
    ]  # fmt: skip
    row = identifier(factory, informer, name)
    return fill('<tr id="%s" data-strain="%s">%s</tr>', row, strain.value, joined(cells))


# -- controllers and elections ------------------------------------------------------------------------------------

_CONTROLLERS: Final = ("Controller", "State", "Queued", "Waiting", "Running", "Done", "Failed", "Timed out")


def controllers_table(seen: Snapshot, opened: Opened) -> Markup | None:
    """Return the controllers; None if there are none."""
    if not seen.controllers:
        return None
    return _table("Controllers", _CONTROLLERS, (_controller(each, opened) for each in seen.controllers))


_DOING: Final = {
    ControllerState.SYNCING: ("SYNCING", "busy"),
    ControllerState.FOLLOWING: ("FOLLOWING", "idle"),
    ControllerState.CATCHING_UP: ("CATCHING UP", "busy"),
    ControllerState.RECONCILING: ("RUNNING", "good"),
    ControllerState.ENDED: ("ENDED", "idle"),
}


def _controller(controller: ControllerView, opened: Opened) -> Markup:
    row, statistics = identifier("controller", controller.name), controller.statistics
    if statistics is None:
        return fill(
            '<tbody id="%s"><tr><th class="wide" scope="row"><span class="name">%s</span></th>'
            '<td data-label="State" colspan="%s">%s</td></tr></tbody>',
            row, controller.name, len(_CONTROLLERS) - 1, badge(Verdict.NOT_STARTED),
        )  # fmt: skip
    queue, running, failing = statistics.queue, len(statistics.busy), len(controller.failing)
    word, tone = ("FAILED", "bad") if statistics.has_crashed else _DOING[statistics.state]
    remark = tag(f"{failing:,} failing", "odd") if failing else NOTHING_AT_ALL
    cells = [
        _opener(row, controller.name, remark, is_open=opened is None or f"{row}-d" in opened),
        _cell("State", label(tone, word)),
        _cell("Queued", queued_text(queue) or "none"),
        _number("Waiting", number(queue.waiting)),
        _gauge("Running", running / controller.concurrency, "good", f"{running} / {controller.concurrency}"),
        _number("Done", number(statistics.succeeded)),
        _number("Failed", number(statistics.failed), "bad" if failing else ""),
        _number("Timed out", number(statistics.timed_out), "bad" if statistics.timed_out else ""),
    ]
    has_drawer = opened is None or f"{row}-d" in opened
    content = controller_drawer(controller, statistics) if has_drawer else None
    return fill('<tbody id="%s"><tr>%s</tr>%s</tbody>', row, joined(cells), _drawer(len(_CONTROLLERS), content))


_ELECTIONS: Final = (
    "Election",
    "State",
    "Candidate",
    "Holder",
    "Renewed",
    "Time left",
    "Renewals",
    "Failures",
    "Terms",
)


def elections_table(seen: Snapshot) -> Markup | None:
    """Return the candidates for leadership; None if there are none."""
    if not seen.elections:
        return None
    return _table("Elections", _ELECTIONS, map(_election, seen.elections))


def _election(election: ElectionStatistics) -> Markup:
    tone = "good" if election.is_leading else "bad" if election.reason else "idle"
    lost = fill(' <span class="dim">(%s lost)</span>', number(election.lost)) if election.lost else NOTHING_AT_ALL
    cells = [
        fill('<th class="wide" scope="row"><span class="name">%s</span></th>', election.name),
        _cell("State", label(tone, election.state.value.upper())),
        _cell("Candidate", fill('<span class="mono">%s</span>', election.identity)),
        _cell("Holder", fill('<span class="mono">%s</span>', election.holder or "nobody")),
        _number("Renewed", "–" if election.since_renewal is None else f"{duration(election.since_renewal)} ago"),
        _number("Time left", duration(election.seconds_left) if election.is_leading else "–"),
        _number("Renewals", number(election.renewals)),
        _number("Failures", number(election.failures)),
        _number("Terms", fill("%s%s", number(election.terms), lost)),
    ]
    row = identifier("election", election.name, election.identity)
    why = _why(len(_ELECTIONS), "bad", election.reason)
    return fill('<tbody id="%s"><tr>%s</tr>%s</tbody>', row, joined(cells), why)


# -- the tail -----------------------------------------------------------------------------------------------------

_SIGNS: Final = {"+": ("added", "+"), "~": ("updated", "~"), "-": ("deleted", "−"), "": ("listed", "=")}


def tail_list(changes: Sequence[Change]) -> Markup:
    """Return the last changes, the latest first."""
    if not changes:
        return fill('<p class="empty">No change since this page was opened.</p>')
    return fill('<ol class="changes">%s</ol>', joined(map(_change, changes)))


def _change(change: Change) -> Markup:
    word, sign = _SIGNS[change.sign]
    at = datetime.fromtimestamp(change.at, UTC).strftime("%H:%M:%S.%f")[:-3]
    return fill(
        '<li class="%s"><time>%s</time><span class="sign" title="%s">%s</span><span class="cause">%s</span>'
        '<span class="dim">%s</span><span class="mono">%s</span></li>',
        word, at, word, sign, change.cause, change.informer, change.key,
    )  # fmt: skip
