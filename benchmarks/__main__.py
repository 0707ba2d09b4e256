"""Measures aioinformers beside its peers.

Without a command: runs every workload and writes the report. Each contender runs in a process of its own, in turns with
the others; what cannot be built or fails is named and left out. ``docs/performance.md`` explains the method.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.contenders import CONTENDERS
from benchmarks.figures import judge, load_budget
from benchmarks.runs import Case, Measured, alternate, say
from benchmarks.workloads import QUICK, WORKLOADS, run_all


def run_everything(options: argparse.Namespace) -> int:
    """Run workloads, keep what they measured, and render the report."""
    is_more = options.only and (options.results / "data.json").exists()
    data = report.load(options.results) if is_more else {"workloads": {}}
    here = machine.describe()
    elsewhere = {"machine": here} if data.setdefault("machine", here) != here else {}  # the others stay as they are
    chosen = {name: WORKLOADS[name] for name in options.only or WORKLOADS}

    def keep(name: str, found: Measured) -> None:
        data["workloads"][name] = elsewhere | found
        report.save(data, options.results)

    found = run_all(chosen, options.rounds, keep)
    minutes = sum(work["seconds"] for work in found.values()) / 60
    say(f"{len(found)} workloads: {minutes:.1f} minutes, builds and feeds not counted")
    return render(options)


def run_quick(options: argparse.Namespace) -> int:
    """Run a few workloads; fail if the budget is exceeded by more than the noise."""
    found = run_all(QUICK, options.rounds, lambda name, one: None)
    verdicts = [verdict for verdict in judge(load_budget(), found) if verdict.row.measured_by(verdict.at) in QUICK]
    print(report.budget_table(verdicts))
    missing = [verdict.row.id for verdict in verdicts if verdict.found is None]
    exceeded = [verdict.row.id for verdict in verdicts if verdict.is_exceeded]
    for name, work in found.items():
        for case, why in work["left_out"].items():
            print(f"\n{name}: {case} is left out: {why}")
    if missing:
        print(f"\nNot measured: {', '.join(missing)}.")
    print(f"\nExceeded: {', '.join(exceeded)}." if exceeded else "\nNo budget is exceeded by more than the noise.")
    return bool(exceeded)


def run_some(options: argparse.Namespace) -> int:
    """Run contenders once more, by hand."""
    extra = {name: getattr(options, name) for name in ("trickle", "handlers", "indexes", "ignore", "faces")}
    extra = {name: value for name, value in extra.items() if value is not None}
    cases = [Case(CONTENDERS[name], extra) for name in options.only]
    found = alternate(cases, options.objects, options.events, options.rounds or 5)
    print(report.base_table(found, label=str))
    return bool(found["left_out"])


def render(options: argparse.Namespace) -> int:
    """Render what was measured; with ``--check`` only say whether that was done."""
    try:
        pages = report.pages(report.load(options.results), options.results)
    except FileNotFoundError as error:
        sys.exit(f"nothing was measured yet: there is no {error.filename}")
    if getattr(options, "check", False):
        stale = [path for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
        for path in stale:
            print(f"{path} is not what the data renders to: run `python -m benchmarks report`")
        return bool(stale)
    from benchmarks import charts

    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    charts.draw(report.load(options.results), options.results)
    say(f"written: {', '.join(str(path) for path in pages)}")
    return 0


def arguments() -> argparse.Namespace:
    """Return what is asked for."""
    shared: dict[str, Any] = {"formatter_class": argparse.ArgumentDefaultsHelpFormatter}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.set_defaults(run=run_everything, only=None)
    parser.add_argument("--rounds", type=int, help="how often each contender takes its turn, instead of the usual")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="where data and report are")
    commands = parser.add_subparsers(title="commands")

    everything = commands.add_parser("all", help="run every workload, or some of them anew, and report", **shared)
    everything.add_argument("--only", nargs="+", choices=WORKLOADS, metavar="WORKLOAD", help=", ".join(WORKLOADS))
    everything.set_defaults(run=run_everything)

    quick = commands.add_parser("quick", help="a few minutes; fails if the budget is exceeded", **shared)
    quick.set_defaults(run=run_quick)

    some = commands.add_parser("run", help="run contenders by hand", **shared)
    some.add_argument("objects", type=int, nargs="?", default=10_000)
    some.add_argument("events", type=int, nargs="?", default=20_000)
    some.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="CONTENDER", help=", ".join(CONTENDERS),
                      default=["model", "model-fields", "struct", "dict"])  # fmt: skip
    for name in ("trickle", "handlers", "indexes", "ignore", "faces"):
        some.add_argument(f"--{name}", type=int)
    some.set_defaults(run=run_some)

    again = commands.add_parser("report", help="render what was measured", **shared)
    again.add_argument("--check", action="store_true", help="only say whether it is rendered")
    again.set_defaults(run=render)
    for command in (everything, quick, some):
        command.add_argument("--rounds", type=int, default=argparse.SUPPRESS)
    for command in (everything, again):
        command.add_argument("--results", type=Path, default=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    chosen = arguments()
    try:
        sys.exit(chosen.run(chosen))
    except KeyboardInterrupt:
        sys.exit("interrupted; what was measured so far is kept")
    except json.JSONDecodeError as error:
        sys.exit(f"a contender printed no JSON: {error}")
