"""The tables of the page."""

from __future__ import annotations

import dataclasses

from aioinformers.integrations.page.figures import identifier
from aioinformers.integrations.page.samples import Change, Sampled
from aioinformers.integrations.page.tables import (
    MOST_HANDLERS,
    MOST_INFORMERS,
    controllers_table,
    elections_table,
    handlers_table,
    informers_table,
    tail_list,
)
from aioinformers.integrations.snapshot import Verdict
from aioinformers.statistics import ControllerState, ElectionState, ShardMode
from aioinformers.types import Scope
from tests.integrations.markup import Markup, words
from tests.integrations.views import busy_program, handler, informer, seen


def test_informers_have_a_row_each_with_their_figures() -> None:
    program = busy_program()
    sampled = Sampled(rates={("factory", "pods.v1"): 12.0})
    text = words(str(informers_table(program, program.factories[0], sampled, frozenset())))
    assert "nodes.v1 DEGRADED for 4.0 s 3 2.9 KiB – 1.0 s ago 7 2 (1 again) waiting: cannot connect to 10.0.0.1" in text
    assert "pods.v1 1 cannot be read warning LIVE for 3.0 s 3 2.9 KiB 12 1.0 s ago 7" in text


def test_a_shard_is_told_beside_the_name_with_who_filters() -> None:
    modes: list[tuple[ShardMode | None, str]] = [
        ("server", "filtered by the server"),
        ("client", "filtered here"),
        (None, "not listed yet"),
    ]
    for mode, told in modes:
        program = seen(informer(shard="shard 2 of 0 to 7, by uid", shard_mode=mode))
        table = str(informers_table(program, program.factories[0], Sampled(), frozenset()))
        assert f"shard 2 of 0 to 7, by uid, {told}" in words(table)
        assert ('class="tag odd"' in table) is (mode == "client")


def test_only_rows_that_are_open_have_a_drawer_unless_nobody_knows() -> None:
    program = busy_program()
    row = identifier("factory", "pods.v1")
    for opened, drawers in ((frozenset[str](), 0), (frozenset({f"{row}-d", "other"}), 1), (None, 2)):
        shown = Markup(str(informers_table(program, program.factories[0], Sampled(), opened)))
        assert sum(each.get("class") == "inside" for each in shown.all("div")) == drawers
        assert sum("data-closed" in each for each in shown.all("tr")) == 2 - drawers
        assert [each["id"] for each in shown.all("details") if "open" in each] == [f"{row}-d"] * (drawers == 1)


def test_handlers_that_cannot_keep_up_come_first() -> None:
    table = handlers_table(busy_program())
    text = words(str(table))
    assert text.index("notify full") < text.index("drain stuck") < text.index("quick")
    assert "notify full pods.v1 1,024 / 1,024 0 / 4 – – 9 2 7 –" in text
    assert "drain stuck pods.v1 0 / 1,024 1 / 4 51 ms 550 ms 9 0 0 shop/web-0 for 41 s" in text
    assert "quick pods.v1 0 / no limit 0 / 4" in text
    assert [each.get("data-strain") for each in Markup(str(table)).all("tr")[1:]] == ["full", "stuck", ""]
    assert handlers_table(seen(informer())) is None


def test_of_very_many_handlers_those_have_a_row_that_say_most() -> None:
    usual = {f"quiet-{number}": handler(handled=0) for number in range(MOST_HANDLERS)}
    odd = {"failing": handler(failed=1), "waiting": handler(queued=7), "full": handler(queued=1024), "used": handler()}
    table = handlers_table(seen(informer(handlers={**usual, **odd})))
    shown = Markup(str(table))
    text = words(str(table))
    assert sum("data-strain" in each for each in shown.all("tr")) == MOST_HANDLERS
    order = [text.index(name) for name in ("full full", "failing", "waiting", "used", "quiet-0")]
    assert order == sorted(order)
    assert text.endswith("and 4 more, which the text has")
    assert "more" not in words(str(handlers_table(seen(informer(handlers=usual)))))


def test_of_very_many_informers_the_first_have_a_row() -> None:
    program = seen(*(informer(f"widgets.v1 [{number}]") for number in range(MOST_INFORMERS + 1_001)))
    table = str(informers_table(program, program.factories[0], Sampled(), frozenset()))
    assert len(Markup(table).all("details")) == MOST_INFORMERS
    assert words(table).endswith("and 1,001 more, which the text has")


def test_controllers_have_a_row_each() -> None:
    text = words(str(controllers_table(busy_program(), frozenset())))
    assert "sites 1 failing RUNNING 1 urgent, 2 normal (3.2 s) 1 1 / 16 4 1 1" in text
    assert "idle NOT STARTED" in text
    assert "Failing shop/web-0" in words(str(controllers_table(busy_program(), None))), "open to begin with"
    assert controllers_table(seen(), None) is None


def test_controllers_that_wait_or_have_crashed_say_so() -> None:
    program = busy_program()
    controller = program.controllers[0]
    assert controller.statistics is not None
    crashed = dataclasses.replace(controller.statistics, has_crashed=True, bug="KeyError")
    states = {state: dataclasses.replace(controller.statistics, state=state) for state in ControllerState}
    expected = [
        (states[ControllerState.SYNCING], "SYNCING"),
        (states[ControllerState.FOLLOWING], "FOLLOWING"),
        (states[ControllerState.CATCHING_UP], "CATCHING UP"),
        (states[ControllerState.ENDED], "ENDED"),
        (crashed, "FAILED"),
    ]
    for statistics, word in expected:
        one = dataclasses.replace(controller, statistics=statistics)
        changed = dataclasses.replace(program, controllers=(one,))
        assert word in words(str(controllers_table(changed, frozenset())))


def test_elections_have_a_row_each() -> None:
    program = busy_program()
    assert "default/sites LEADING a a 1.5 s ago 8.0 s 3 0 2 (1 lost)" in words(str(elections_table(program)))
    refused = dataclasses.replace(
        program.elections[0], state=ElectionState.REFUSED, is_leading=False, holder="", reason="403 Forbidden"
    )
    text = words(str(elections_table(dataclasses.replace(program, elections=(refused,)))))
    assert "default/sites REFUSED a nobody 1.5 s ago – 3 0 2 (1 lost) 403 Forbidden" in text
    assert elections_table(seen()) is None


def test_the_tail_says_what_has_changed() -> None:
    changes = [
        Change(1_700_000_000.25, "pods.v1", "-", "shop/<img src=x onerror=alert(1)>", "watch"),
        Change(1_700_000_000.0, "pods.v1", "", "1,000 objects", "list"),
    ]
    shown = str(tail_list(changes))
    assert "<img" not in shown
    assert words(shown).startswith("22:13:20.250 − watch pods.v1 shop/<img src=x onerror=alert(1)> 22:13:20.000 = list")
    assert "No change" in words(str(tail_list(())))


def test_many_scopes_are_one_row() -> None:
    view = informer(is_optional=True, version="7", verdict=Verdict.SYNCING)
    scopes = list(view.statistics.scopes.values())
    statistics = dataclasses.replace(view.statistics, scopes={Scope("a"): scopes[0], Scope("b"): scopes[0]})
    program = seen(dataclasses.replace(view, statistics=statistics, is_compact=True))
    text = words(str(informers_table(program, program.factories[0], Sampled(), frozenset())))
    assert "pods.v1 optional compact SYNCING for 3.0 s 3 2.9 KiB – 1.0 s ago 7 … 2 (2 again)" in text
