"""What opens below a row of the page."""

from __future__ import annotations

import dataclasses

from aioinformers.integrations.page.drawers import MOST_KEYS, MOST_REJECTED, controller_drawer, informer_drawer
from aioinformers.integrations.snapshot import ControllerView
from aioinformers.statistics import BusyRun, CompactStatistics, FailingKey, Transition
from aioinformers.types import ObjectKey
from tests.integrations.markup import Markup, words
from tests.integrations.views import busy_program, informer, seen


def test_an_informers_drawer_has_its_timeline_the_latest_first() -> None:
    timeline = (Transition(1.0, "listing"), Transition(4.0, "watching"), Transition(9.5, "waiting", "cannot connect"))
    text = words(str(informer_drawer(seen(), informer(timeline=timeline), most=2)))
    assert "22:13:19 0.5 s waiting cannot connect 22:13:14 5.5 s watching" in text
    assert "listing" not in text
    assert "Requests that have ended 2 ok, 1 unreachable" in text
    assert "Listed again 1 expired" in text
    assert "Watches 3 ended, 4 min on average" in text
    assert "Indexes namespace (2), node (20)" in text


def test_what_cannot_be_read_is_named_up_to_a_number() -> None:
    rejected = {f"shop/web-{number}": "<b>no</b>" for number in range(MOST_REJECTED + 5)}
    shown = str(informer_drawer(seen(), informer(rejected=rejected, warnings=("v1 is old",)), most=5))
    assert "<b>" not in shown
    assert "shop/web-19 <b>no</b>" in words(shown)
    assert "shop/web-20" not in words(shown)
    assert "and 5 more" in words(shown)
    assert "Warnings of the server v1 is old" in words(shown)


def test_packing_is_said() -> None:
    view = informer()
    packed = dataclasses.replace(view.statistics, compact=CompactStatistics(9, 900, 90, 1), unreadable=3)
    text = words(str(informer_drawer(seen(), dataclasses.replace(view, statistics=packed), most=5)))
    assert "Packed 10.0 times smaller" in text
    assert "Lines without a key 3" in text


def test_a_controllers_drawer_has_what_runs_and_what_fails() -> None:
    controller = busy_program().controllers[0]
    assert controller.statistics is not None
    text = words(str(controller_drawer(controller, controller.statistics)))
    assert "Running now shop/web-0 for 2.0 s sync (shop/main.py:7)" in text
    assert "Failing shop/web-0 3 times, next try in 12 s ValueError: no web-0" in text
    assert "engine.py" not in text, "what leads to the user's function is of no use to the user"


def test_of_many_some_are_named() -> None:
    controller = busy_program().controllers[0]
    assert controller.statistics is not None
    keys = [ObjectKey("", f"a-{number}") for number in range(MOST_KEYS + 3)]
    statistics = dataclasses.replace(controller.statistics, busy=tuple(BusyRun(key, 1.0, "") for key in keys))
    many = ControllerView("sites", 16, statistics, tuple(FailingKey(key, "no", 1) for key in keys))
    shown = str(controller_drawer(many, statistics))
    assert words(shown).count("and 3 more") == 2
    assert len(Markup(shown).all("li")) == 2 * (MOST_KEYS + 1)
    idle = dataclasses.replace(statistics, busy=())
    assert "Running now" not in words(str(controller_drawer(ControllerView("sites", 16, idle, ()), idle)))
