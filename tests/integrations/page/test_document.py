"""The status page as HTML."""

from __future__ import annotations

import dataclasses
import gzip
import re
import sys

import pytest

from aioinformers.integrations.advice import UNDONE, Advice
from aioinformers.integrations.page.assets import asset_at
from aioinformers.integrations.page.document import DOCS, document, fragment
from aioinformers.integrations.page.samples import Change, Sampled
from aioinformers.integrations.snapshot import FactoryView, Problem, Snapshot, Verdict
from aioinformers.types import ObjectKey
from tests.integrations.markup import Markup, words
from tests.integrations.views import busy_program, handler, informer, seen

SAMPLED = Sampled(
    history=tuple(float(number % 7) for number in range(120)), rate=12.0, memory=90 * 2**20,
    tail=tuple(Change(1.7e9, "pods.v1 [shop]", "~", f"shop/web-{number}", "watch") for number in range(200)),
)  # fmt: skip


def many(count: int) -> Snapshot:
    informers = [
        informer(
            f"widgets.v1.example.com [team-{number}]", handlers={f"on_widget_{each}": handler() for each in range(2)}
        )
        for number in range(count)
    ]
    return seen(*informers)


@pytest.mark.parametrize("program", [seen(), busy_program(), many(3)], ids=["nothing", "busy", "some"])
def test_a_page_has_no_script_and_no_style_of_its_own(program: Snapshot) -> None:
    """Or a strict Content-Security-Policy would refuse them."""
    page = Markup(document(program, SAMPLED))
    assert page.all("style") == []
    for tag, attributes in page.elements:
        assert not any(name == "style" or name.startswith("on") for name in attributes), tag
        if tag == "script":
            assert attributes["src"]
        for name in ("src", "href"):
            link = attributes.get(name) or ""
            assert not link.startswith("/"), "it is mounted anywhere"
            assert "://" not in link or link.startswith(DOCS)


def test_all_files_that_it_needs_are_there() -> None:
    page = Markup(document(seen()))
    paths = [each["src"] for each in page.all("script")] + [each["href"] for each in page.all("link")]
    assert len(paths) == 4
    assert all(asset_at(path or "") is not None for path in paths)


@pytest.mark.parametrize("program", [seen(), busy_program(), many(60)], ids=["nothing", "busy", "many"])
def test_ids_are_there_once(program: Snapshot) -> None:
    ids = Markup(document(program, SAMPLED)).ids()
    assert len(ids) == len(set(ids))


def test_it_says_first_how_the_program_is() -> None:
    program = busy_program()
    factory = dataclasses.replace(program.factories[0], loop_lag=0.0014)
    text = words(document(dataclasses.replace(program, factories=(factory,)), SAMPLED))
    assert text.startswith("DEGRADED · factory Skip to the informers DEGRADED DEGRADED factory")
    assert "API server 10.0.0.1:6443 Process 7, up 90 s aioinformers 1.0 As of 22:13:20 UTC" in text
    assert "Events/s 12 Loop lag 1.4 ms Memory 90 MiB" in text
    assert "nodes.v1 waiting: cannot connect to 10.0.0.1:6443 It tries again by itself" in text
    for section in ("Informers 2", "Handlers", "Controllers", "Elections", "Tail"):
        assert section in text


def test_a_banner_appears_only_if_something_is_wrong() -> None:
    assert "banner" not in document(seen(informer()))
    busy = busy_program()
    assert "banner bad" in document(busy)


def test_live_is_not_green_while_something_gets_nothing_done() -> None:
    problem = Problem("controller sites", "3 objects fail", UNDONE, is_severe=True)
    calm = document(seen(informer(), problems=(dataclasses.replace(problem, is_severe=False),)))
    assert '<span class="badge good">LIVE</span><h1' in calm.replace("\n", "")
    shown = document(seen(informer(), problems=(problem,), remark="with 1 severe problem"))
    assert '<span class="badge bad">LIVE with 1 severe problem</span><h1' in shown
    assert words(shown).startswith("LIVE with 1 severe problem · factory ")


def test_what_is_to_be_done_is_said_once_for_all_that_it_is_to_be_done_about() -> None:
    problem = dataclasses.replace(busy_program().problems[0], is_severe=False)
    same = tuple(dataclasses.replace(problem, where=f"pods-{number}") for number in range(7))
    others = tuple(
        dataclasses.replace(problem, where=f"node-{number}", advice=Advice(f"Wait {number}.", "faults.md#lists"))
        for number in range(5)
    )
    shown = document(dataclasses.replace(busy_program(), problems=same + others))
    banner = words(shown.partition("banner odd")[2].partition("</section>")[0])
    assert banner.count("It tries again by itself") == 1
    assert "pods-3" in banner
    assert "pods-4" not in banner
    assert "and 3 more, below" in banner
    assert "Wait 2." in banner
    assert "Wait 3." not in banner
    assert banner.endswith("and 2 more, below")


def test_nothing_is_said_in_words_where_nothing_is() -> None:
    text = words(document(seen(verdict=Verdict.NOT_STARTED, remark="no informers")))
    assert "NOT STARTED no informers" in text
    assert "No informers yet: the program has asked its factory for none." in text
    assert "No handlers: the caches are only read." in text
    assert "No change since this page was opened." in text
    assert "Controllers" not in text
    none = dataclasses.replace(seen(), factories=())
    assert "No factory has been started in this process." in words(document(none))


def test_several_factories_have_a_table_each() -> None:
    one = FactoryView("one", "10.0.0.1", True, False, None, 1, (informer(),))
    two = FactoryView("two", "10.0.0.2", True, False, None, 2, (informer(),))
    program = dataclasses.replace(seen(), factories=(one, two))
    page = document(program)
    assert "Informers of one 1 10.0.0.1" in words(page)
    assert "Informers of two 1 10.0.0.2" in words(page)
    assert len(set(Markup(page).ids())) == len(Markup(page).ids())


def test_what_anybody_may_have_named_is_text() -> None:
    evil = '"><img src=x onerror=alert(1)>'
    view = informer(evil, reason=evil, verdict=Verdict.DEGRADED, rejected={evil: evil}, warnings=(evil,))
    program = dataclasses.replace(seen(view), factories=(FactoryView(evil, evil, True, False, None, 1, (view,)),))
    problem = dataclasses.replace(busy_program().problems[0], where=evil, what=evil)
    shown = document(
        dataclasses.replace(program, problems=(problem,)), Sampled(tail=(Change(1.0, evil, "+", evil, evil),))
    )
    assert "<img" not in shown
    assert shown.count("&lt;img") > 8
    assert str(ObjectKey("", evil)) in words(shown)


def test_a_fragment_has_what_changes_and_nothing_else() -> None:
    page = Markup(document(busy_program(), SAMPLED))
    live = [attributes["id"] for _, attributes in page.elements if "data-live" in attributes]
    part = Markup(fragment(busy_program(), SAMPLED, frozenset()))
    assert live == [attributes["id"] for _, attributes in part.elements if "data-live" in attributes]
    assert live == ["head", "state", "tail"]
    assert part.all("script") == part.all("input") == part.all("button") == []


def test_without_javascript_it_is_asked_for_again_by_the_browser() -> None:
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in document(seen())


def test_hidden_names_are_said_to_be_hidden() -> None:
    assert "show_keys=True" in document(dataclasses.replace(seen(), shows_keys=False))
    assert "show_keys=True" not in document(seen())


def test_a_full_page_is_small() -> None:
    """Sixty informers with two handlers each, two hundred changes, and all files."""
    shown = document(many(60), SAMPLED)
    paths = re.findall(r'(?:src|href)="(static/[^"]+)"', shown)
    files = [asset.body for path in paths if (asset := asset_at(path)) is not None]
    assert len(files) == 4
    assert sum(len(gzip.compress(each)) for each in [shown.encode(), *files]) <= 60_000


def test_a_fragment_is_small_however_many_handlers_there_are() -> None:
    """It is made in the event loop, once a second."""
    handlers = {f"on_widget_{number}": handler() for number in range(50)}
    program = seen(*(informer(f"widgets.v1.example.com [team-{number}]", handlers=handlers) for number in range(60)))
    assert len(fragment(program, SAMPLED, frozenset()).encode()) < 300_000


def test_without_the_extra_it_is_said_to_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aioinformers.integrations.page.document", raising=False)
    monkeypatch.setitem(sys.modules, "htpy", None)
    with pytest.raises(ImportError, match=r"the page needs htpy: pip install 'aioinformers\[page\]'; /statusz shows"):
        __import__("aioinformers.integrations.page.document")
