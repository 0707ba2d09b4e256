"""The tables of the report, in Markdown, from what was measured. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.contenders import CONTENDERS, CONTROLLERS, READERS
from benchmarks.figures import (
    METRICS,
    Spread,
    Verdict,
    looked,
    per_handler,
    per_listed,
    per_reader,
    per_turn,
    ratios,
    read_rates,
    spread,
)

Workload = Mapping[str, Any]
PEER = "go-protobuf"
NONE = "–"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """Return a Markdown table whose first columns are texts and whose others are figures."""
    rule = ["---" if index < texts else "---:" for index in range(len(headers))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headers, rule, *rows))


def figure(value: float) -> str:
    """Return a number with as many digits as it deserves."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def ranged(found: Spread | None) -> str:
    """Return a median and the range around it."""
    if found is None:
        return NONE
    return f"{figure(found.median)} ({figure(found.low)}–{figure(found.high)})"


def summary(values: Mapping[int, float] | Sequence[float]) -> Spread | None:
    """Summarize values, if there are any."""
    found = list(values.values() if isinstance(values, Mapping) else values)
    return spread(found) if found else None


def label(case: str) -> str:
    """Return what a case is called, its options in words."""
    name, *options = case.split(" ")
    known = CONTENDERS | CONTROLLERS
    text = known[name].label if name in known else name
    return ", ".join([text, *(f"{value} {option}" for option, _, value in (part.partition("=") for part in options))])


def budget_table(verdicts: Sequence[Verdict]) -> str:
    """Return each row of the budget, what was measured, and whether it is kept."""
    return table(
        ["what", "at", "budget", "measured (range)", "turns", "verdict"],
        [
            [
                verdict.row.what, f"{int(verdict.at):,} {verdict.row.size}", verdict.row.bound(verdict.limit),
                ranged(verdict.found), str(verdict.found.count) if verdict.found else NONE, verdict.word,
            ]
            for verdict in verdicts
        ],
    )  # fmt: skip


def compared(work: Workload, case: str, metric: str, peer: str = PEER) -> tuple[str, str]:
    """Return a case's figure, and its ratio to a peer; each with its range."""
    ours = per_turn(work, case, metric)
    ratio = summary(ratios(ours, per_turn(work, peer, metric))) if case != peer else None
    return ranged(summary(ours)), ranged(ratio) if case != peer else "1"


def base_table(work: Workload, label: Callable[[str], str] = label) -> str:
    """Return what contenders cost, each beside client-go."""
    rows = []
    for case, runs in work["runs"].items():
        event, sync, kib = (compared(work, case, metric) for metric in ("event_us", "sync_us", "kib"))
        if case.startswith("floor"):  # it keeps nothing
            kib = (NONE, NONE)
        peak = summary(per_turn(work, case, "peak"))
        rows.append([label(case), *event, *sync, *kib, figure(peak.median) if peak else NONE, str(len(runs))])
    return table(
        ["", "CPU per event, µs", "× client-go", "CPU per object of the sync, µs", "× client-go", "KiB per object",
         "× client-go", "peak / steady", "turns"],
        rows,
    )  # fmt: skip


def rate_table(work: Workload) -> str:
    """Return how long the sync took, and how many events a second were handled."""
    rows = []
    for case in work["runs"]:
        sync, rate = (summary(per_turn(work, case, metric)) for metric in ("sync_seconds", "events_per_second"))
        rows.append([label(case), ranged(sync), ranged(rate)])
    return table(["", "seconds to sync", "events per second"], rows)


def option_table(work: Workload, option: str, names: Sequence[str] = ("model", PEER)) -> str:
    """Return how costs change with an option."""
    rows = []
    for case in work["runs"]:
        name, _, value = case.partition(f" {option}=")
        if name in names:
            cells = [ranged(summary(per_turn(work, case, metric))) for metric in ("event_us", "sync_us", "kib")]
            rows.append([label(name), f"{int(value):,}", *cells])
    return table(["", option, "CPU per event, µs", "CPU per object of the sync, µs", "KiB per object"], rows)


def handler_slopes(work: Workload) -> str:
    """Return what each further handler costs."""
    return table(
        ["", "CPU per further handler and event, µs", "… and object of the first list, of 1,000 handlers, µs"],
        [
            [label(name), ranged(summary(per_handler(work, name))), ranged(summary(per_listed(work, name)))]
            for name in ("model", PEER)
        ],
    )


def read_table(work: Workload) -> str:
    """Return how many reads a second of CPU pays for, and how many of client-go's each is."""
    cases = [case for case in READERS if case in work["runs"]]
    reads = {name: one["found"] for run in work["runs"]["reads"] for name, one in run["reads"].items()}
    rows = []
    for read, size in reads.items():
        rates = {case: read_rates(work, case, read) for case in cases}
        theirs = rates.get("go-reads", {})
        cells = []
        for case in cases:
            rate, share = summary(rates[case]), summary(ratios(rates[case], theirs))
            beside = "" if case == "go-reads" or share is None else f" ({figure(share.median)} ×)"
            cells.append(NONE if rate is None else figure(rate.median) + beside)
        rows.append([read, f"{size:,.0f}", *cells])
    return table(["reads per CPU second", "objects found", *(READERS[case].label for case in cases)], rows)


def look_table(work: Workload) -> str:
    """Return what a look at two fields of an object costs, by what it is read as."""
    rows = []
    for case, contender in READERS.items():
        if any("looks" in run for run in work["runs"].get(case, ())):
            cells = [ranged(summary(looked(work, case, metric))) for metric in ("first_us", "again_us", "levels")]
            rows.append([contender.label, *cells])
    headers = ["read as", "first look, µs", "later looks, µs", "memory after a look at all objects / before"]
    return table(headers, rows)


CHOICES = {
    # how it is read: the case whose memory it has, and what it may not do
    "reads": ("model", "nothing: it is a model of the client"),
    "reads-struct": ("struct", "be changed; have fields that were not declared"),
    "reads-shared": ("model", "be changed, though nothing prevents it"),
    "reads-dict": ("dict", "nothing: it is a dict"),
    "reads-compact": ("compact", "nothing: it is a model of the client"),
}


def choice_table(work: Workload, base: Workload) -> str:
    """Return what reads of an object cost by what it is read as, and what that must not be used for."""
    reads = ("get, field read", "by_index, field read", "list, many hits, field read")
    rows = []
    for case, (kept, limits) in CHOICES.items():
        if case not in work["runs"]:
            continue
        cells = [summary(looked(work, case, metric)) for metric in ("first_us", "again_us")]
        for read in reads:
            found = work["runs"][case][0]["reads"][read]["found"]
            rates = read_rates(work, case, read)
            cells.append(summary({turn: 1e6 / (rate * found) for turn, rate in rates.items()}))
        cells.append(summary(per_turn(base, kept, "kib")))
        rows.append([READERS[case].label, *(NONE if one is None else figure(one.median) for one in cells), limits])
    return table(
        ["read as", "two fields, first, µs", "… again, µs", "`get` and a field, µs", "`by_index`, a field of each, µs",
         "`list`, a field of each, µs", "KiB per object", "what it may not"],
        rows,
    )  # fmt: skip


def served_table(work: Workload) -> str:
    """Return the requests a second and their times, by what a service does."""
    rows = []
    for variant, phases in work["served"].items():
        for phase in (phase for phase in ("idle", "first sync", "flood") if phase in phases):
            turns = {load: phases[phase].get(load, ()) for load in ("full", "steady")}
            cells = [ranged(summary([turn["per_second"] for turn in turns["full"]]))]
            cells += [
                ranged(summary([turn[key] for turn in turns["steady"]])) for key in ("p50_ms", "p99_ms", "max_ms")
            ]
            rows.append([SERVICES[variant], phase, *cells])
    return table(["", "meanwhile", "requests per second", "p50, ms", "p99, ms", "longest, ms"], rows, texts=2)


SERVICES = {
    "alone": "no cache",
    "informer": "informer, default model",
    "struct": "informer, frozen Struct",
    "watch": "the client's `Watch` and a dict",
}


def reader_table(work: Workload) -> str:
    """Return what a further handler costs that reads two fields of each event."""
    return table(
        ["", "CPU per further handler and event, µs"],
        [[label("model-fields"), ranged(summary(per_reader(work, "model-fields")))]],
    )


def trickle_table(work: Workload) -> str:
    """Return what an event costs that comes alone."""
    cases = [case for case in ("model", PEER) if case in work["runs"]]
    rows = [[label(case), *compared(work, case, "trickle_us")] for case in cases]
    return table(["", "CPU per lone event, µs", "× client-go"], rows)


def loop_table(work: Workload) -> str:
    """Return what the sync, a flood and lone events cost, by event loop."""
    metrics = ("sync_us", "event_us", "trickle_us")
    rows = []
    for case in work["runs"]:
        cells = [ranged(summary(per_turn(work, case, metric))) for metric in metrics]
        if PEER in work["runs"]:
            theirs = per_turn(work, PEER, "event_us")
            cells.append(ranged(summary(ratios(per_turn(work, case, "event_us"), theirs))))
        name, _, options = case.partition(" ")
        rows.append([label(name) + (", uvloop" if options == "uvloop=1" else ""), *cells])
    headers = ["", "CPU per object of the sync, µs", "CPU per event, µs", "CPU per lone event, µs"]
    return table([*headers, *(["event × client-go"] if PEER in work["runs"] else [])], rows)


def informer_table(work: Workload) -> str:
    """Return what many informers in one factory cost."""
    rows = []
    for case, runs in work["runs"].items():
        count = int(case.rpartition("=")[2])
        kept = spread((run["rss_collected"] - run["empty_rss"]) / count / 1024 for run in runs)
        used = spread(1e3 * run["sync_cpu"] / count for run in runs)
        rows.append([str(count), ranged(summary(per_turn(work, case, "sync_seconds"))), ranged(used), ranged(kept)])
    return table(["informers", "seconds to sync all", "CPU of the sync per informer, ms", "KiB per informer"], rows)


def growth_table(works: Mapping[int, Workload]) -> str:
    """Return how costs grow with the number of objects."""
    rows = []
    for name in ("model", "compact", PEER):
        for objects, work in sorted(works.items()):
            if name in work["runs"]:
                metrics = ("event_us", "sync_us", "kib", "mib", "sync_seconds")
                cells = [ranged(summary(per_turn(work, name, metric))) for metric in metrics]
                rows.append([label(name), f"{objects:,}", *cells])
    return table(
        ["", "objects", "CPU per event, µs", "CPU per object of the sync, µs", "KiB per object", "process, MiB",
         "seconds to sync"],
        rows,
    )  # fmt: skip


def latency_table(work: Workload) -> str:
    """Return how long a write takes to reach the handler."""
    rows = []
    for rate, one in sorted(work["rates"].items(), key=lambda item: int(item[0])):
        for name in ("aioinformers", "client-go"):
            cells = [figure(one[name][key]) for key in ("p50", "p99", "max", "cpu_us")]
            both = [ranged(spread(one["ratios"][key])) if name == "aioinformers" else "1" for key in ("p50", "p99")]
            rows.append([f"{int(rate):,}", name, *cells, *both])
    return table(
        ["writes per second", "", "p50, ms", "p99, ms", "longest, ms", "CPU per update, µs", "p50 × client-go",
         "p99 × client-go"],
        rows, texts=2,
    )  # fmt: skip


def controller_table(work: Workload) -> str:
    """Return what a run of a controller costs, each beside controller-runtime's that does the same."""
    rows = []
    for case in work["runs"]:
        peer = "go-controller-fields" if case.endswith("-fields") else "go-controller"
        run, first = (compared(work, case, metric, peer) for metric in ("run_us", "first_run_us"))
        rows.append([label(case), *run, *first, ranged(summary(per_turn(work, case, "kib")))])
    return table(
        ["", "CPU per run after a change, µs", "× controller-runtime", "CPU per first run, µs", "× controller-runtime",
         "KiB per object"],
        rows,
    )  # fmt: skip


def queue_table(work: Workload) -> str:
    """Return what a work queue costs."""
    cells = [ranged(summary(per_turn(work, "queue", metric))) for metric in ("cycle_us", "key_bytes")]
    headers = ["keys in the queue", "CPU per `add`, get and done, µs", "bytes per key, beside the key"]
    return table(headers, [[f"{work['objects']:,}", *cells]])


def look_at_table(work: Workload) -> str:
    """Return what looks at a program cost."""
    metrics = ("snapshot_ms", "scrape_ms", "page_ms", "news_ms", "viewer_percent")
    cells = [ranged(summary(per_turn(work, "looks", metric))) for metric in metrics]
    headers = ["informers", "snapshot, ms", "scrape, ms", "status page, ms", "its news, ms", "viewer, % of a processor"]
    return table(headers, [[f"{work['objects']:,}", *cells]])


def step_table(works: Iterable[Workload]) -> str:
    """Return how long the loop was kept while many objects arrived."""
    rows: list[list[str]] = []
    for work in works:
        for way, turns in work["turns"].items():
            phases = zip(*turns, strict=True)
            rows += [[f"{work['objects']:,}", way, same[0]["phase"], *step_cells(same)] for same in phases]
    return table(
        ["objects", "lists by", "what happens", "CPU per object, µs", "steps, p99.9, ms", "longest, ms", "MiB kept",
         "peak / steady"],
        rows, texts=3,
    )  # fmt: skip


def step_cells(turns: Sequence[Mapping[str, Any]]) -> list[str]:
    median = {key: statistics.median(row[key] for row in turns) for key in ("cpu_us", "p999_ms", "max_ms", "peak")}
    kept = statistics.median(row["rss"] for row in turns) / 2**20
    return [*(figure(median[key]) for key in ("cpu_us", "p999_ms", "max_ms")), figure(kept), figure(median["peak"])]


def server_table(works: Mapping[str, Workload]) -> str:
    """Return the largest part of any run's time that the replay server computed."""
    rows = []
    for name, work in works.items():
        shares = {
            case: max(METRICS["server_share"](run, work) for run in runs)
            for case, runs in work.get("runs", {}).items()
            if "sync_cpu" in runs[0] and not case.startswith("floor")  # which waits for the server by intent
        }
        if shares:
            busiest = max(shares, key=lambda case: shares[case])
            rows.append([name, label(busiest), f"{shares[busiest]:.2f}", "yes" if shares[busiest] < 1 else "**NO**"])
    return table(["workload", "who kept it busiest", "server CPU / measured time", "below 1"], rows, texts=2)


def version_table(works: Mapping[str, Workload]) -> str:
    """Return the version that each contender printed."""
    found = {
        case.partition(" ")[0]: run["version"]
        for work in works.values()
        for case, runs in work.get("runs", {}).items()
        for run in runs
    }
    return table(["contender", "version"], [[label(name), version] for name, version in found.items()], texts=2)
