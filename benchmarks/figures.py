"""From raw runs to figures: medians, ratios of the same turn, and whether they keep the budget. Pure functions."""

from __future__ import annotations

import statistics
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["METRICS", "Row", "Spread", "Verdict", "judge", "load_budget", "per_turn", "ratios", "spread"]

BUDGET = Path(__file__).with_name("budget.toml")
MANY_HANDLERS = 100
MOST_HANDLERS = 1000
MANY_READING = 9

Workload = Mapping[str, Any]
Run = Mapping[str, Any]


def kib_per_object(run: Run, work: Workload) -> float:
    return float(run["rss_collected"] - run["empty_rss"]) / float(work["objects"]) / 1024


def server_share(run: Run, work: Workload) -> float:
    """Return the part of the measured time that the replay server computed: at 1 it would be what is measured."""
    return float(run["server_cpu"]) / float(run["sync_seconds"] + run["event_seconds"])


METRICS: dict[str, Callable[[Run, Workload], float]] = {
    "sync_us": lambda run, work: 1e6 * float(run["sync_cpu"]) / float(work["objects"]),
    "event_us": lambda run, work: 1e6 * float(run["event_cpu"]) / float(work["events"]),
    "kib": kib_per_object,
    "trickle_us": lambda run, work: 1e6 * float(run["trickle_cpu"]) / float(work["trickle"]),
    "peak": lambda run, work: float(run["peak_rss"]) / float(run["rss"]),
    "sync_seconds": lambda run, work: float(run["sync_seconds"]),
    "events_per_second": lambda run, work: float(work["events"]) / float(run["event_seconds"]),
    "server_share": server_share,
    "mib": lambda run, work: float(run["rss_collected"]) / 2**20,
    "first_run_us": lambda run, work: 1e6 * float(run["sync_cpu"]) / float(run["sync_runs"]),
    "run_us": lambda run, work: 1e6 * float(run["event_cpu"]) / float(run["event_runs"]),
    "cycle_us": lambda run, work: float(run["cycle_us"]),
    "key_bytes": lambda run, work: float(run["key_bytes"]),
    "snapshot_ms": lambda run, work: float(run["snapshot_ms"]),
    "scrape_ms": lambda run, work: float(run["scrape_ms"]),
    "page_ms": lambda run, work: float(run["page_ms"]),
    "news_ms": lambda run, work: float(run["news_ms"]),
    "viewer_percent": lambda run, work: float(run["viewer_percent"]),
}
"""What a run says, by name."""


@dataclass(frozen=True)
class Spread:
    """Values of several turns: their median, their range, and what a quarter of them lie below, and above."""

    median: float
    low: float
    high: float
    lower_quartile: float
    upper_quartile: float
    count: int


def spread(values: Iterable[float]) -> Spread:
    """Summarize values."""
    ordered = sorted(values)
    quarters = statistics.quantiles(ordered, n=4, method="inclusive") if len(ordered) > 1 else ordered * 3
    return Spread(statistics.median(ordered), ordered[0], ordered[-1], quarters[0], quarters[-1], len(ordered))


def per_turn(work: Workload, case: str, metric: str) -> dict[int, float]:
    """Return what a case's runs say, by turn."""
    return {run["turn"]: METRICS[metric](run, work) for run in work["runs"].get(case, ())}


def ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Return ours over theirs for each turn that has both."""
    return [ours[turn] / theirs[turn] for turn in sorted(ours.keys() & theirs.keys())]


def per_handler(work: Workload, name: str) -> dict[int, float]:
    """Return the microseconds that a further handler adds to an event, by turn."""
    one = per_turn(work, f"{name} handlers=1", "event_us")
    many = per_turn(work, f"{name} handlers={MANY_HANDLERS}", "event_us")
    return {turn: (many[turn] - one[turn]) / (MANY_HANDLERS - 1) for turn in one.keys() & many.keys()}


def per_reader(work: Workload, name: str) -> dict[int, float]:
    """Return the microseconds that a further handler adds to an event that reads fields as others do, by turn."""
    one = per_turn(work, f"{name} reading=1", "event_us")
    many = per_turn(work, f"{name} reading={MANY_READING}", "event_us")
    return {turn: (many[turn] - one[turn]) / (MANY_READING - 1) for turn in one.keys() & many.keys()}


def per_listed(work: Workload, name: str) -> dict[int, float]:
    """Return the microseconds that a further handler adds to an object of the first list, by turn."""
    one = per_turn(work, f"{name} handlers=1", "sync_us")
    most = per_turn(work, f"{name} handlers={MOST_HANDLERS}", "sync_us")
    return {turn: (most[turn] - one[turn]) / (MOST_HANDLERS - 1) for turn in one.keys() & most.keys()}


def looked(work: Workload, case: str, metric: str) -> dict[int, float]:
    """Return what looks at objects cost, or the memory after them over that before, by turn."""

    def value(run: Run) -> float:
        found = run["looks"]
        if metric != "levels":
            return float(found[metric])
        return float((found["rss_after"] - run["empty_rss"]) / (found["rss_before"] - run["empty_rss"]))

    return {run["turn"]: value(run) for run in work["runs"].get(case, ()) if "looks" in run}


def read_rates(work: Workload, case: str, read: str) -> dict[int, float]:
    """Return how many reads of a kind a second of CPU pays for, by turn."""
    return {run["turn"]: float(run["reads"][read]["per_second"]) for run in work["runs"].get(case, ())}


def of_ignoring(work: Workload, name: str) -> dict[int, float]:
    """Return the microseconds that an event costs more if somebody ignores some of its changes, by turn."""
    without = per_turn(work, f"{name} ignore=0", "event_us")
    with_it = per_turn(work, f"{name} ignore=1", "event_us")
    return {turn: with_it[turn] - without[turn] for turn in without.keys() & with_it.keys()}


def of_measuring(work: Workload, name: str) -> dict[int, float]:
    """Return the microseconds that an event costs more while its latency is measured, by turn."""
    without = per_turn(work, f"{name} faces=0", "event_us")
    with_it = per_turn(work, f"{name} faces=2", "event_us")
    return {turn: with_it[turn] - without[turn] for turn in without.keys() & with_it.keys()}


DIFFERENCES: dict[str, Callable[[Workload, str], dict[int, float]]] = {
    "handler_us": per_handler,
    "ignore_us": of_ignoring,
    "measure_us": of_measuring,
    "reader_us": per_reader,
    "listed_us": per_listed,
}
"""What the difference of two cases says, by name."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the budget.

    Attributes:
        id: What notes call it.
        what: What it is about.
        workload: What measures it; a number of objects is appended.
        metric: What is looked at.
        ours: The case that is held to it.
        peer: What that is divided by; without one the limit is of the metric itself.
        unit: The unit of the limit.
        size: What the keys of ``at`` count.
        at: The limits by size.
        is_floor: Whether what is measured must reach the limit, instead of staying within it.
    """

    id: str
    what: str
    workload: str
    metric: str
    ours: str
    at: Mapping[str, float]
    peer: str = ""
    unit: str = "×"
    size: str = "objects"
    is_floor: bool = False

    def bound(self, limit: float) -> str:
        """Return a limit in words."""
        return f"{'≥' if self.is_floor else '≤'} {limit:g} {self.unit}"

    def measured_by(self, at: str) -> str:
        """Return the name of the workload that measures it at a size."""
        return f"{self.workload}-{at}" if self.size == "objects" else self.workload

    def values(self, workloads: Mapping[str, Workload], at: str) -> list[float]:
        """Return what was measured, one value a turn; nothing if it was not."""
        work = workloads.get(self.measured_by(at))
        if work is None:
            return []
        if self.workload == "latency":
            return list(work["rates"].get(at, {}).get("ratios", {}).get(self.metric, ()))
        if self.workload == "steps":
            return step_values(work, self.ours, self.metric)
        if self.metric in DIFFERENCES:
            return list(DIFFERENCES[self.metric](work, self.ours).values())
        if self.workload == "reads":
            if self.peer:
                return ratios(read_rates(work, self.ours, self.metric), read_rates(work, self.peer, self.metric))
            return list(looked(work, self.ours, self.metric).values())
        ours = per_turn(work, self.ours, self.metric)
        return ratios(ours, per_turn(work, self.peer, self.metric)) if self.peer else list(ours.values())


def step_values(work: Workload, phase: str, metric: str) -> list[float]:
    """Return the worse of both ways to list, one value a turn."""
    ways = [
        [row[metric] for rows in turns for row in rows if row["phase"] == phase] for turns in work["turns"].values()
    ]
    return [max(values) for values in zip(*ways, strict=False)]


@dataclass(frozen=True)
class Verdict:
    """Whether a row of the budget is kept at a size."""

    row: Row
    at: str
    limit: float
    found: Spread | None

    @property
    def is_kept(self) -> bool:
        """Whether the median is within the limit."""
        if self.found is None:
            return False
        return self.found.median >= self.limit if self.row.is_floor else self.found.median <= self.limit

    @property
    def is_exceeded(self) -> bool:
        """Whether it is exceeded by more than the noise of this measurement.

        That is if even the lower quartile of the turns is above the limit (the upper one below it, where it is to be
        reached): three turns out of four, or more, say so.
        A single disturbed turn, or a median that happens to lie just above, does not.
        """
        if self.found is None:
            return False
        if self.row.is_floor:
            return self.found.upper_quartile < self.limit
        return self.found.lower_quartile > self.limit

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        if self.found is None:
            return "not measured"
        if self.is_kept:
            return "pass"
        return "**FAIL**" if self.is_exceeded else "**fail**, within the noise"


def judge(rows: Sequence[Row], workloads: Mapping[str, Workload]) -> list[Verdict]:
    """Hold what was measured against the budget."""
    verdicts = []
    for row in rows:
        for at, limit in row.at.items():
            values = row.values(workloads, at)
            verdicts.append(Verdict(row, at, limit, spread(values) if values else None))
    return verdicts


def load_budget(path: Path = BUDGET) -> list[Row]:
    """Return the rows of the budget."""
    return [Row(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["row"]]
