"""What opens below a row of the status page. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from aioinformers.integrations.page.figures import number
from aioinformers.integrations.page.markup import NOTHING_AT_ALL, fill, joined
from aioinformers.integrations.snapshot import ControllerView, InformerView, Snapshot
from aioinformers.integrations.text import duration, next_try, quantile_text, times
from aioinformers.statistics import BusyRun, ControllerStatistics, Durations, FailingKey, ScopeStatistics
from aioinformers.types import Scope

__all__ = ["controller_drawer", "informer_drawer"]

MOST_REJECTED: Final = 20
"""Objects that cannot be read and are named."""
_FOLDERS: Final = re.compile(r"\(\S*/(?=[^/]+/[^/]+$)")
"""What stands before the last folder of a file."""

MOST_KEYS: Final = 20
"""Runs under way, and objects that fail, that are named."""


def _facts(facts: Iterable[tuple[str, str]]) -> Markup:
    pairs = joined(fill("<div><dt>%s</dt><dd>%s</dd></div>", name, value) for name, value in facts)
    return fill('<dl class="facts">%s</dl>', pairs)


def _list(title: str, lines: Sequence[Markup], more: int) -> Markup:
    """Return a list with a heading; more says how many there are beyond it."""
    if not lines:
        return NOTHING_AT_ALL
    rest = fill('<li class="dim">and %s more</li>', number(more)) if more > 0 else NOTHING_AT_ALL
    return fill('<section><h3>%s</h3><ul class="plain">%s%s</ul></section>', title, joined(lines), rest)


# -- informers ----------------------------------------------------------------------------------------------------


def informer_drawer(seen: Snapshot, informer: InformerView, *, most: int) -> Markup:
    """Return what is known of an informer beyond its row.

    Args:
        seen: The program.
        informer: The informer.
        most: How many changes of state are shown of each scope.
    """
    statistics = informer.statistics
    facts = [
        ("Changes", f"{statistics.added:,} added, {statistics.updated:,} updated, {statistics.deleted:,} deleted"),
        ("Indexes", ", ".join(f"{name} ({count:,})" for name, count in informer.indexes.items()) or "none"),
        ("Batches on their way", number(statistics.queued_batches)),
    ]
    if statistics.compact is not None:
        facts.append(("Packed", f"{statistics.compact.ratio:.1f} times smaller"))
    if statistics.unreadable:
        facts.append(("Lines without a key", number(statistics.unreadable)))
    rejected = list(statistics.rejected.items())[:MOST_REJECTED]
    refused = [fill('<li><span class="mono">%s</span> <span class="dim">%s</span></li>', *each) for each in rejected]
    warnings = [fill('<li class="mono">%s</li>', warning) for warning in informer.health.warnings]
    return fill(
        '<div class="inside">%s%s%s%s</div>',
        _facts(facts),
        _list("Warnings of the server", warnings, 0),
        _list("Objects that cannot be read", refused, len(statistics.rejected) - len(rejected)),
        joined(_scope(seen, scope, each, most) for scope, each in statistics.scopes.items()),
    )


def _scope(seen: Snapshot, scope: Scope, statistics: ScopeStatistics, most: int) -> Markup:
    facts = [
        ("Requests that have ended", _counts(statistics.attempts)),
        ("Listed again", _counts(statistics.relists)),
        ("Watches", _watches(statistics.watches)),
        ("resourceVersion", statistics.version or "–"),
    ]
    name, changes = str(scope) or "All namespaces", joined(_timeline(seen, statistics, most))
    return fill(
        '<section><h3>%s</h3>%s<ol class="timeline" tabindex="0" aria-label="Timeline of %s">%s</ol></section>',
        name, _facts(facts), name, changes,
    )  # fmt: skip


def _timeline(seen: Snapshot, statistics: ScopeStatistics, most: int) -> Iterator[Markup]:
    """Yield the changes of state, the latest first, each with how long it lasted."""
    until = statistics.at
    for change in reversed(statistics.timeline[-most:]):
        at = datetime.fromtimestamp(seen.at - (statistics.at - change.at), UTC).strftime("%H:%M:%S")
        why = fill('<span class="mono why">%s</span>', change.reason) if change.reason else NOTHING_AT_ALL
        yield fill(
            '<li><time>%s</time><span class="dim number">%s</span><span>%s</span>%s</li>',
            at, duration(until - change.at), change.state, why,
        )  # fmt: skip
        until = change.at


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def _watches(watches: Durations) -> str:
    count = sum(watches.counts)
    return f"{count:,} ended, {duration(watches.total / count)} on average" if count else "none has ended"


# -- controllers --------------------------------------------------------------------------------------------------


def controller_drawer(controller: ControllerView, statistics: ControllerStatistics) -> Markup:
    """Return which objects a controller works on now, and which fail."""
    running, failing = statistics.busy[:MOST_KEYS], controller.failing[:MOST_KEYS]
    queue = statistics.queue
    facts = [
        ("Wait for a turn, p50 / p99", f"{quantile_text(queue.waits, 0.5)} / {quantile_text(queue.waits, 0.99)}"),
        ("Run, p50 / p99", f"{quantile_text(queue.runs, 0.5)} / {quantile_text(queue.runs, 0.99)}"),
        ("Waiting for their own writes", number(statistics.waiting_for_writes)),
        ("Ran without them", number(statistics.stale)),
        ("Added", number(queue.added)),
    ]
    return fill(
        '<div class="inside">%s%s%s</div>',
        _facts(facts),
        _list("Running now", list(map(_run, running)), len(statistics.busy) - len(running)),
        _list("Failing", list(map(_failure, failing)), len(controller.failing) - len(failing)),
    )


def _run(run: BusyRun) -> Markup:
    calls = joined(fill('<span class="mono awaits">%s</span>', call) for call in _calls(run.awaits))
    template = '<li><span class="mono">%s</span> <span class="dim">for %s</span>%s</li>'
    return fill(template, run.key, duration(run.seconds), calls)


def _calls(awaits: str) -> list[str]:
    """Return the calls that a run is in, the outermost first, without those that lead to the user's function."""
    calls = [call for call in awaits.split(" > ") if call]
    calls = [call for call in calls if "/aioinformers/controllers/" not in call] or calls
    return [_FOLDERS.sub("(", call) for call in calls]


def _failure(failing: FailingKey) -> Markup:
    return fill(
        '<li><span class="mono">%s</span> <span class="dim">%s, %s</span><span class="mono awaits bad">%s</span></li>',
        failing.key, times(failing.failures), next_try(failing), failing.error,
    )  # fmt: skip
