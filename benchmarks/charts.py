"""The charts of the report, as SVG that is the same for the same data, and readable on light and on dark pages."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.contenders import CONTENDERS
from benchmarks.figures import per_turn
from benchmarks.tables import PEER, figure, label

__all__ = ["draw"]

INK = "#7d8590"  # text and axes: seen on white and on black
OURS, GO, OTHERS, FLOOR = "#2f81f7", "#d29922", "#8b949e", "#56b870"
COLORS = {"aioinformers": OURS, "client-go": GO, "floor": FLOOR}
STYLE = {
    "svg.hashsalt": "aioinformers", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif",
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10, "axes.titlelocation": "left",
}  # fmt: skip

Work = Mapping[str, Any]


def draw(data: Mapping[str, Any], folder: Path) -> None:
    """Draw every chart whose workloads were measured."""
    works = data["workloads"]
    with mpl.rc_context(STYLE):
        for name, (needs, chart) in CHARTS.items():
            if all(works.get(need, {}).get("runs") or works.get(need, {}).get("rates") for need in needs):
                save(chart(works), folder / f"{name}.svg")


def save(drawn: Figure, path: Path) -> None:
    """Write a figure without the date, on no background."""
    drawn.set_layout_engine("constrained")
    drawn.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def median(work: Work, case: str, metric: str) -> float:
    return statistics.median(per_turn(work, case, metric).values())


def color(case: str) -> str:
    return COLORS.get(CONTENDERS[case.partition(" ")[0]].family, OTHERS)


def bars(axes: Axes, work: Work, metric: str, title: str, cases: Sequence[str], *, log: bool) -> None:
    """Draw a bar per contender, the value beside it and the range of the turns as a line."""
    for place, case in enumerate(cases):
        values = sorted(per_turn(work, case, metric).values())
        middle = statistics.median(values)
        axes.barh(place, middle, color=color(case), height=0.7)
        axes.plot([values[0], values[-1]], [place, place], color=INK, linewidth=1)
        axes.annotate(
            figure(middle),
            (max(middle, values[-1]), place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(cases)), [label(case).replace("`", "") for case in cases])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlabel(title)
    if log:
        axes.set_xscale("log")
        log_ticks(axes.xaxis, subs=(1,))
    axes.margins(x=0.2)


def cpu(works: Mapping[str, Work]) -> Figure:
    """CPU per event and per object."""
    work = works["base-10000"]
    cases = sorted(work["runs"], key=lambda case: median(work, case, "event_us"))
    drawn = Figure(figsize=(10, 0.3 * len(cases) + 1))
    left, right = drawn.subplots(1, 2, sharey=True)
    bars(left, work, "event_us", "CPU per event, µs (log)", cases, log=True)
    bars(right, work, "sync_us", "CPU per object of the first sync, µs (log)", cases, log=True)
    right.invert_yaxis()  # shared with the left one, which has done it
    return drawn


def memory(works: Mapping[str, Work]) -> Figure:
    """Memory per cached object."""
    work = works["base-10000"]
    cases = [case for case in work["runs"] if not case.startswith("floor")]
    cases.sort(key=lambda case: median(work, case, "kib"))
    drawn = Figure(figsize=(8, 0.3 * len(cases) + 1))
    bars(drawn.subplots(), work, "kib", "memory per cached object, KiB", cases, log=False)
    return drawn


def log_ticks(axis: Axis, subs: Sequence[float] = (1, 2, 5)) -> None:
    """Label an axis with plain numbers."""
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def lines(
    axes: Axes, series: Mapping[str, Mapping[float, Sequence[float]]], across: str, up: str, *, log: bool = False
) -> None:
    """Draw a line per case through the medians, its range shaded."""
    for case, points in series.items():
        at = sorted(points)
        middle = [statistics.median(points[x]) for x in at]
        axes.plot(at, middle, marker="o", markersize=3, color=color(case), linestyle=dashes(case), label=label(case))
        low, high = [min(points[x]) for x in at], [max(points[x]) for x in at]
        axes.fill_between(at, low, high, color=color(case), alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    log_ticks(axes.xaxis, subs=(1,))
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if log:
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    else:
        axes.set_ylim(bottom=0)


def dashes(case: str) -> str:
    return "--" if case.startswith("compact") else "-"


def growth(works: Mapping[str, Work]) -> Figure:
    """Costs by the number of objects."""
    sizes = [work for name, work in works.items() if name.startswith("base-") and work.get("runs")]
    drawn = Figure(figsize=(10, 3.2))
    metrics = {"event_us": "CPU per event, µs", "sync_us": "CPU per object of the sync, µs", "kib": "KiB per object"}
    for axes, (metric, up) in zip(drawn.subplots(1, 3), metrics.items(), strict=True):
        series = {
            case: {
                work["objects"]: list(per_turn(work, case, metric).values()) for work in sizes if case in work["runs"]
            }
            for case in ("model", "compact", PEER)
        }
        lines(axes, {case: points for case, points in series.items() if points}, "cached objects", up)
    legend(drawn)
    return drawn


def handlers(works: Mapping[str, Work]) -> Figure:
    """Costs by the number of handlers."""
    work = works["handlers-10000"]
    series: dict[str, dict[float, list[float]]] = {}
    for case in work["runs"]:
        name, _, count = case.partition(" handlers=")
        series.setdefault(name, {})[int(count)] = list(per_turn(work, case, "event_us").values())
    drawn = Figure(figsize=(7, 3.4))
    axes = drawn.subplots()
    lines(axes, series, "handlers", "CPU per event, µs (log)", log=True)
    legend(drawn)
    return drawn


def latency(works: Mapping[str, Work]) -> Figure:
    """Latency percentiles by the rate of writes."""
    rates = dict(sorted(works["latency"]["rates"].items(), key=lambda item: int(item[0])))
    drawn = Figure(figsize=(10, 3))
    panels = drawn.subplots(1, len(rates), squeeze=False)[0]
    for axes, (rate, one) in zip(panels, rates.items(), strict=True):
        for offset, (name, shade) in enumerate((("aioinformers", OURS), ("client-go", GO))):
            values = [one[name][key] for key in ("p50", "p99", "max")]
            places = [place + 0.38 * (offset - 0.5) for place in range(3)]
            axes.bar(places, values, width=0.36, color=shade, label=name)
            for place, value in zip(places, values, strict=True):
                axes.annotate(
                    figure(value), (place, value), (0, 2), textcoords="offset points", ha="center", fontsize=7
                )
        axes.set_xticks(range(3), ["p50", "p99", "longest"])
        axes.set_title(f"{int(rate):,} writes a second")
    panels[0].set_ylabel("write to handler, ms")
    legend(drawn)
    return drawn


def legend(drawn: Figure) -> None:
    """Name the colours below the charts."""
    handles, names = drawn.axes[0].get_legend_handles_labels()
    names = [name.replace("`", "") for name in names]
    drawn.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)


CHARTS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Work]], Figure]]] = {
    # name: which workloads it needs, what draws it
    "cpu": (("base-10000",), cpu),
    "memory": (("base-10000",), memory),
    "growth": (("base-10000",), growth),
    "handlers": (("handlers-10000",), handlers),
    "latency": (("latency",), latency),
}
