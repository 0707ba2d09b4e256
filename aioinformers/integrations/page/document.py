"""The status page: a snapshot as HTML. Needs the extra ``page``. Pure.

Nothing in it is a script or a style of its own, so that a strict Content-Security-Policy holds: what moves is in
``static/page.js``, what it looks like in ``static/page.css``. All paths are relative: it works wherever it is mounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

try:
    import htpy as h
except ImportError as _missing:
    raise ImportError(
        "the page needs htpy: pip install 'aioinformers[page]'; /statusz shows the same as text"
    ) from _missing

from aioinformers.integrations.advice import Advice
from aioinformers.integrations.page.assets import asset_path
from aioinformers.integrations.page.figures import badge, rate_text, sparkline
from aioinformers.integrations.page.samples import NOTHING, Sampled
from aioinformers.integrations.page.tables import (
    Opened,
    controllers_table,
    elections_table,
    handlers_table,
    informers_table,
    tail_list,
)
from aioinformers.integrations.snapshot import Problem, Snapshot, Verdict, by_advice
from aioinformers.integrations.text import duration, size, time_text

__all__ = ["DOCS", "document", "fragment"]

DOCS: Final = "https://github.com/aioinformers/aioinformers/blob/main/docs/"
"""Where the pages of the documentation are."""
REFRESH: Final = 5
"""Seconds after which a browser without JavaScript asks again."""
CURVE: Final = (30, 120)
"""Seconds that the curve of changes has room for, at the beginning and at the most."""
MOST_GROUPS: Final = 4
"""Pieces of advice that the banner gives; the tables have all that is wrong."""
MOST_OF_A_GROUP: Final = 4
"""Problems that it names for each."""


def document(seen: Snapshot, sampled: Sampled = NOTHING) -> str:
    """Return the whole page.

    Args:
        seen: What the program does.
        sampled: What has been measured since somebody began to look.
    """
    return str(
        h.html(lang="en")[
            h.head[
                h.meta(charset="utf-8"),
                h.title[_title(seen)],
                h.meta(name="viewport", content="width=device-width, initial-scale=1"),
                h.meta(name="color-scheme", content="light dark"),
                h.link(rel="icon", type="image/svg+xml", href=asset_path("icon.svg")),
                h.link(rel="stylesheet", href=asset_path("page.css")),
                h.script(src=asset_path("idiomorph.min.js"), defer=True),
                h.script(src=asset_path("page.js"), defer=True),
                h.noscript[h.meta(http_equiv="refresh", content=str(REFRESH))],
            ],
            h.body[
                h.a(".skip", href="#state")["Skip to the informers"],
                h.header[
                    _head(seen, sampled),
                    h.div(".controls.scripted")[
                        h.span("#age", aria_live="off")["now"],
                        h.button("#pause", type="button", aria_pressed="false")["Pause"],
                    ],
                ],
                h.main[_state(seen, sampled, None), _tail_section(sampled)],
                _footer(seen),
            ],
        ]
    )


def fragment(seen: Snapshot, sampled: Sampled, opened: frozenset[str]) -> str:
    """Return the parts of the page that change, to be put into one that is shown.

    Args:
        seen: What the program does.
        sampled: What has been measured since somebody began to look.
        opened: Ids of the rows that are open: others have no drawer.
    """
    return str(h.fragment[_head(seen, sampled), _state(seen, sampled, opened), _tail(sampled)])


def _title(seen: Snapshot) -> str:
    return f"{_words(seen)} · {' · '.join(each.name for each in seen.factories) or 'aioinformers'}"


def _is_alarming(seen: Snapshot) -> bool:
    """Whether the caches are live, and something is wrong all the same that is not to be overlooked."""
    return seen.verdict is Verdict.LIVE and any(problem.is_severe for problem in seen.problems)


def _words(seen: Snapshot) -> str:
    """Return the verdict as it is read out; how many or how old changes too often for that."""
    return f"{seen.verdict.value} {seen.remark}".strip() if _is_alarming(seen) else seen.verdict.value


def _head(seen: Snapshot, sampled: Sampled) -> h.Element:
    hosts = dict.fromkeys(each.host for each in seen.factories if each.host)
    at = datetime.fromtimestamp(seen.at, UTC)
    lag = max((each.loop_lag for each in seen.factories if each.loop_lag is not None), default=None)
    facts: list[tuple[str, h.Node]] = [
        ("API server", ", ".join(hosts) or "none"),
        ("Process", f"{seen.pid}, up {duration(seen.uptime)}"),
        ("aioinformers", seen.package),
        ("As of", h.time(datetime=at.isoformat(timespec="milliseconds"))[at.strftime("%H:%M:%S UTC")]),
    ]
    return h.div("#head", data_live=True, data_title=_title(seen), data_page=asset_path("page.js"))[
        h.p(".unseen", role="status")[_words(seen)],
        h.div(".verdict")[
            badge(seen.verdict, seen.remark, is_calm=not _is_alarming(seen)),
            h.h1[" · ".join(each.name for each in seen.factories) or "aioinformers"],
        ],
        h.dl(".facts")[[h.div[h.dt[name], h.dd[value]] for name, value in facts]],
        h.dl(".figures")[
            h.div(".curve")[h.dt["Events/s"], h.dd[rate_text(sampled.rate)], _curve(sampled)],
            h.div[h.dt["Loop lag"], h.dd["–" if lag is None else time_text(lag)]],
            h.div[h.dt["Memory"], h.dd["–" if sampled.memory is None else size(sampled.memory)]],
        ],
    ]


def _curve(sampled: Sampled) -> h.Element:
    least, most = CURVE
    values = sampled.history[-most:]
    return sparkline(values, max(least, len(values)))


def _state(seen: Snapshot, sampled: Sampled, opened: Opened) -> h.Element:
    return h.div("#state", data_live=True, tabindex="-1")[
        _banner(seen),
        _informers(seen, sampled, opened),
        _section("Handlers", handlers_table(seen) or _empty("No handlers: the caches are only read.")),
        None if (table := controllers_table(seen, opened)) is None else _section("Controllers", table),
        None if (table := elections_table(seen)) is None else _section("Elections", table),
    ]


def _banner(seen: Snapshot) -> h.Element | None:
    """Return what is wrong, with what to do about it said once for all that it is to be done about."""
    if not seen.problems:
        return None
    tone = "bad" if any(problem.is_severe for problem in seen.problems) else "odd"
    groups = list(by_advice(seen.problems).items())
    return h.section(f".banner.{tone}", aria_label="Problems")[
        h.ul[[_group(advice, problems) for advice, problems in groups[:MOST_GROUPS]]],
        len(groups) > MOST_GROUPS and h.p[f"and {sum(len(each) for _, each in groups[MOST_GROUPS:])} more, below"],
    ]


def _group(advice: Advice, problems: list[Problem]) -> h.Element:
    more = len(problems) - MOST_OF_A_GROUP
    return h.li[
        [
            h.p[h.strong[problem.where], " ", h.span(".mono")[problem.what]]
            for problem in problems[:MOST_OF_A_GROUP]
        ],
        more > 0 and h.p(".dim")[f"and {more:,} more, below"],
        h.p(".todo")[
            advice.text, " ",
            h.a(href=DOCS + advice.page, rel="noreferrer", target="_blank")["More in the documentation"],
        ],
    ]  # fmt: skip


def _informers(seen: Snapshot, sampled: Sampled, opened: Opened) -> Iterator[h.Element]:
    for factory in seen.factories:
        is_alone = len(seen.factories) == 1
        count = f"{len(factory.informers):,}"
        title = "Informers" if is_alone else f"Informers of {factory.name}"
        content = (
            informers_table(seen, factory, sampled, opened)
            if factory.informers
            else _empty("No informers yet: the program has asked its factory for none.")
        )
        yield _section(title, content, "" if is_alone else factory.host, count)
    if not seen.factories:
        yield _section("Informers", _empty("No factory has been started in this process."))


def _section(title: str, content: h.Node, remark: str = "", count: str = "") -> h.Element:
    return h.section(".card")[
        h.h2[title, bool(count) and h.span(".count")[count], bool(remark) and h.span(".dim")[remark]], content
    ]


def _empty(words: str) -> h.Element:
    return h.p(".empty")[words]


def _tail_section(sampled: Sampled) -> h.Element:
    return h.section(".card")[
        h.div(".title")[
            h.h2["Tail", h.span(".dim")["the last 200 changes, since this page was opened"]],
            h.div(".scripted")[
                h.label(".unseen", for_="filter")["Filter the tail"],
                h.input("#filter", type="search", placeholder="Filter", autocomplete="off", spellcheck="false"),
            ],
        ],
        h.div("#window", tabindex="0", role="region", aria_label="Tail")[_tail(sampled)],
    ]


def _tail(sampled: Sampled) -> h.Element:
    return h.div("#tail", data_live=True)[tail_list(sampled.tail)]


def _footer(seen: Snapshot) -> h.Element:
    return h.footer[
        h.nav(aria_label="The same in other forms")[
            h.a(href="statusz")["Text"], h.a(href="status.json")["JSON"], h.a(href="metrics")["Metrics"],
            h.a(href="readyz?verbose")["Readiness"], h.a(href="livez?verbose")["Liveness"],
        ],
        not seen.shows_keys and h.p["Names of objects are hidden: show_keys=True shows them."],
    ]  # fmt: skip
