"""Write ``docs/faults.md``: the table of faults of the tests, and what stock clients do under each of them.

``python tools/render_faults.py`` runs the stock clients under every fault, one in virtual and one in real time, which
takes some minutes, and writes the page;
``--check`` only compares titles and expectations with the page.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from aioinformers.testing import run_virtual  # noqa: E402
from tests.faults.official import observe_all  # noqa: E402
from tests.faults.scene import Case  # noqa: E402
from tests.faults.stock import observe  # noqa: E402
from tests.faults.table import CASES, SECTIONS  # noqa: E402

PAGE = ROOT / "docs" / "faults.md"

INTRODUCTION = """# What happens when something goes wrong

Each line is a test (`tests/faults/`): the fault is injected into an API server that runs in the test's own event loop,
in virtual time, and afterwards the cache must equal the server, what each handler was told must lead to that state
without an impossible event, no more tries may have been made than the growing delays allow from the first second on
(fewer than ten requests a minute once backed off), and no task or socket may be left.

*Recovers within* counts from the end of the fault and without jitter, which may double the delay that is running
then (30 s at most). *Says* is part of the informer's `health().reason`, of `last_error` and of what
`on_watch_error` is given. Where there is only the latter, nothing but the user can help.

The other columns are what `watch.Watch` of kubernetes_asyncio and `SharedInformer` of the official client
(`kubernetes.informer`, with threads) do under the same fault: not an opinion, but an observation by
`tools/render_faults.py`. `Watch` runs in virtual time, in a loop over the events of
`list_config_map_for_all_namespaces`. `SharedInformer` runs in real time: its faults last 8 seconds only, and it has
25 seconds to recover, so that what it would notice later is not seen here. *Deaf* means that it raises
nothing and delivers nothing any more; whether handlers are told the right things is not looked at. A dash stands where
it makes no request of that kind, or where the fault is one of our informers.

Some bounds are worth knowing:

- A watch that has shown nothing at all, not even a bookmark, is checked by one small request when it ends: from a
  version that a server restored from a backup does not know yet, a watch is told nothing. Such a restore is noticed
  after `watch_timeout_max` + `watch_timeout_slack` seconds (630) at the latest.
- Where lists have no `resourceVersion`, as with some aggregated APIs, a watch cannot be resumed: each is followed by a
  list. What was deleted between a list and the begin of its watch stays in the cache until then: `watch_timeout_max`
  seconds (600) at most. Where such an API cannot be watched at all, it is listed every 30 to 60 seconds.
- A line of a watch that cannot be read may have been about any object: what came before and after it in the same
  chunk is delivered, then the objects are listed again.
- A kind that the server does not serve any more, or a namespace that is gone with the rights in it, cannot be listed.
  Its objects are let go of once the server has said so twice, `gone_after` seconds (30) apart: after 51 seconds,
  without jitter. What may be an outage, such as an API group that is not served at all, leaves them for as long as it
  lasts; only a group of CustomResourceDefinitions that the client may read is known to be gone.
- A list whose pages are empty twice in a row is asked for again without pages.

One limit is the protocol's. An etcd that is restored from a backup, and has gone beyond the old `resourceVersion`
before the informer asks again, cannot be told from one that was never touched: the watch goes on from a version that
means something else now, and what the restore has undone stays in the cache until the next list. That is so in
client-go, too. After a restore, restart what watches, or the API servers.
"""


def rows(cases: list[Case], seen: Callable[[Case], str]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield "| What goes wrong | aioinformers | `Watch` | `SharedInformer` |"
    yield "|---|---|---|---|"
    for case in cases:
        yield f"| {case.title} | {case.expectation} | {seen(case)} |"


def render(seen: Callable[[Case], str]) -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for title, cases in SECTIONS.items():
        parts.append("\n".join([f"## {title}", "", *rows(cases, seen)]) + "\n")
    return "\n".join(parts)


def recorded() -> dict[str, str]:
    """Return what the page says of the stock client, by title."""
    cells = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "|" in line]
    return {cell[0]: " | ".join(cell[2:]) for cell in cells if len(cell) == 4}


def is_current() -> bool:
    """Tell whether the page has the titles and expectations of the table."""
    known = recorded()
    return PAGE.read_text(encoding="utf-8") == render(lambda case: known.get(case.title, "? | ?"))


def main() -> int:
    """Write the page, or check it."""
    if "--check" in sys.argv:
        return 0 if is_current() else 1
    logging.disable(logging.CRITICAL)
    official = asyncio.run(observe_all(CASES))
    seen = {}
    for number, case in enumerate(CASES, 1):
        seen[case.title] = f"{run_virtual(observe(case))} | {official[case.title]}"
        print(f"{number}/{len(CASES)} {case.title}: {seen[case.title]}", flush=True)
    PAGE.write_text(render(lambda case: seen[case.title]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
