"""What a program answers to requests about itself."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import pytest

from aioinformers.integrations.access import Peer, is_local
from aioinformers.integrations.answers import PATHS, Answers, require_answering
from aioinformers.integrations.exposition import CONTENT_TYPE
from aioinformers.integrations.page.assets import asset_path
from aioinformers.integrations.page.figures import identifier
from aioinformers.integrations.page.viewing import Viewing
from aioinformers.integrations.snapshot import Snapshot
from aioinformers.statistics import RequestStatistics
from tests.integrations.views import busy_program, informer, seen

LOCAL = Peer("127.0.0.1", {"host": "localhost:8080"})
FAR = Peer("10.0.0.9", {"host": "10.0.0.2:8080"})
AWAY = seen(informer(has_synced=False, reason="listing: 10.0.0.1 refused"))


def answers(program: Snapshot) -> Answers:
    return Answers(lambda: program)


@pytest.mark.parametrize("path", [*PATHS, "/"])
def test_everything_is_answered_to_who_is_on_this_machine(path: str) -> None:
    answer = answers(seen(informer())).answer("GET", path, "", LOCAL)
    assert answer.status == 200
    assert answer.body


@pytest.mark.parametrize("path", [*PATHS, "/"])
def test_probes_and_metrics_answer_everybody_and_name_nothing(path: str) -> None:
    answer = answers(AWAY).answer("GET", path, "verbose", FAR)
    if path in ("/statusz", "/status.json", "/"):
        assert (answer.status, answer.content_type) == (403, "text/plain; charset=utf-8")
        assert b"kubectl port-forward" in answer.body
    else:
        assert answer.status == (200 if path in ("/livez", "/metrics") else 503)
    assert b"10.0.0.1" not in answer.body


def test_reasons_are_for_who_is_on_this_machine() -> None:
    assert b"pods.v1 failed: listing: 10.0.0.1 refused" in answers(AWAY).answer("GET", "/readyz", "", LOCAL).body
    known = Peer("127.0.0.1", {"host": "localhost", "accept": "application/json"})
    found = json.loads(answers(AWAY).answer("GET", "/readyz", "", known).body)
    assert found == {
        "name": "readyz",
        "ok": False,
        "checks": [
            {"name": "informers are started", "ok": True},
            {"name": "pods.v1", "ok": False, "reason": "listing: 10.0.0.1 refused"},
        ],
    }


def test_readiness_is_kept_and_that_of_the_start_is_not_asked_again() -> None:
    program = seen(informer())
    given = Answers(lambda: program)
    assert given.answer("GET", "/readyz", "", FAR).status == 200
    program = AWAY
    assert given.answer("GET", "/readyz", "", FAR).status == 200
    assert answers(AWAY).answer("GET", "/readyz", "", FAR).status == 503


def test_what_is_not_there_names_what_is() -> None:
    answer = answers(seen()).answer("GET", "/healthz", "", LOCAL)
    assert answer.status == 404
    assert answer.body == f"there is no /healthz: try {', '.join(('/', *PATHS))}\n".encode()


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(method: str) -> None:
    answer = answers(seen()).answer(method, "/readyz", "", LOCAL)
    assert answer.status == 405
    assert answer.headers == {"Allow": "GET, HEAD"}


def test_the_status_is_json_for_programs() -> None:
    found = json.loads(answers(seen(informer())).answer("GET", "/status.json", "", LOCAL).body)
    assert found["verdict"] == "LIVE"
    assert found["factories"][0]["informers"][0]["statistics"]["objects"] == 3


def test_who_may_see_more_can_be_said() -> None:
    everybody = Answers(lambda: AWAY, allow=lambda peer: peer.address.startswith("10."))
    assert everybody.answer("GET", "/statusz", "", FAR).status == 200
    assert everybody.answer("GET", "/statusz", "", LOCAL).status == 403


def test_metrics_need_no_further_package_and_what_is_scraped_is_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aioinformers.integrations.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    looks: list[str] = []
    asked = Answers(lambda: seen(informer()), observe=lambda: looks.append("look"))
    asked.answer("GET", "/livez", "", LOCAL)
    assert looks == []
    answer = asked.answer("GET", "/metrics", "", LOCAL)
    assert (answer.status, answer.content_type, looks) == (200, CONTENT_TYPE, ["look"])
    assert b'aioinformers_objects{factory="factory",informer="pods.v1"} 3\n' in answer.body


def test_the_page_may_do_nothing_but_be_shown() -> None:
    answer = answers(busy_program()).answer("GET", "/", "", LOCAL)
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.body.startswith(b"<!doctype html>")
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in str(policy)
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_parts_of_the_page_are_given_alone_with_the_rows_that_are_open() -> None:
    given = answers(busy_program())
    part = given.answer("GET", "/", "part&open=a,b", LOCAL)
    assert b"<html" not in part.body
    assert b"inside" not in part.body
    row = f"{identifier('factory', 'nodes.v1')}-d"
    assert f'<details id="{row}"' in part.body.decode()
    assert given.answer("GET", "/", f"part&open=a,{row}", LOCAL).body.count(b'class="inside"') == 1
    assert part.headers == given.answer("GET", "/", "", LOCAL).headers


def test_files_of_the_page_are_kept_by_browsers_for_ever() -> None:
    answer = answers(seen()).answer("GET", f"/{asset_path('page.js')}", "", FAR)
    assert (answer.status, answer.content_type) == (200, "text/javascript; charset=utf-8")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answers(seen()).answer("GET", "/static/page.js", "", LOCAL).status == 404


@pytest.mark.parametrize("path", ["/", "/statusz", "/status.json"])
def test_names_of_objects_are_shown_on_request_alone(path: str) -> None:
    assert b"web-0" not in answers(busy_program()).answer("GET", path, "", LOCAL).body
    assert b"web-0" in Answers(busy_program, show_keys=True).answer("GET", path, "", LOCAL).body


def test_without_the_extra_the_page_is_said_to_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aioinformers.integrations.page.document", raising=False)
    monkeypatch.setitem(sys.modules, "htpy", None)
    answer = answers(seen(informer())).answer("GET", "/", "", LOCAL)
    assert answer.status == 501
    assert answer.body == b"the page needs htpy: pip install 'aioinformers[page]'; /statusz shows the same as text\n"


def test_who_asks_without_a_loop_gets_a_page_without_measurements() -> None:
    given = Answers(lambda: seen(informer()), viewing=Viewing(lambda: ()))
    assert given.answer("GET", "/", "", LOCAL).status == 200
    given.close()


@pytest.mark.parametrize("raised", [KeyError("x-forwarded-user"), TypeError("no")])
def test_neither_probes_nor_metrics_depend_on_an_allow_that_raises(
    raised: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A kubelet has no such header: its probes must not end the Pod. Whoever cannot be judged may not see it."""

    def allow(peer: Peer) -> bool:
        raise raised

    asked = Answers(lambda: seen(informer()), allow=allow)
    for path in ("/livez", "/readyz", "/startupz", "/metrics"):
        assert asked.answer("GET", path, "", LOCAL).status == 200
    assert asked.answer("GET", "/statusz", "", LOCAL).status == 403
    assert len([record for record in caplog.records if "allow raised" in record.getMessage()]) == 3, "1st, 2nd, 4th"


def test_an_answer_to_await_is_no_yes() -> None:
    async def nobody(peer: Peer) -> bool:
        return False

    asked = Answers(lambda: seen(informer()), allow=nobody)  # type: ignore[arg-type]  # what is tested
    assert asked.answer("GET", "/statusz", "", LOCAL).status == 403


def test_who_has_been_ready_is_one_factory_and_no_other() -> None:
    """A program whose second factory gets nothing is not ready because its first one, which has ended, has been."""
    now = seen(informer())
    asked = Answers(lambda: now)
    assert asked.answer("GET", "/readyz", "", LOCAL).status == 200
    waiting = seen(informer(has_synced=False, reason="waiting: 403"))
    now = waiting
    assert asked.answer("GET", "/readyz", "", LOCAL).status == 200, "the same one"
    now = dataclasses.replace(waiting, factories=(dataclasses.replace(waiting.factories[0], number=2),))
    assert asked.answer("GET", "/readyz", "", LOCAL).status == 503


def test_metrics_tell_strangers_no_host() -> None:
    requests = RequestStatistics("10.0.0.1:6443", {("GET", "200"): 1}, {}, {})
    asked = Answers(lambda: seen(informer(), requests=(requests,)))
    assert b"10.0.0.1" in asked.answer("GET", "/metrics", "", LOCAL).body
    body = asked.answer("GET", "/metrics", "", FAR).body
    assert b"10.0.0.1" not in body
    assert b'rest_client_requests_total{code="200",method="GET",host="(hidden)"} 1' in body


def test_a_name_that_is_no_unicode_breaks_no_answer() -> None:
    asked = Answers(lambda: seen(informer("pods\udc80")))
    for path in ("/", "/metrics", "/statusz", "/readyz"):
        assert asked.answer("GET", path, "verbose", LOCAL).status == 200


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("60", is_local, False), TypeError, "max_stale must be a number, not '60'"),
        ((-1.0, is_local, False), ValueError, "max_stale is a number of seconds above 0, not -1.0"),
        ((None, is_local, "no"), TypeError, "show_keys is True or False, not 'no'"),
        ((None, None, False), TypeError, "allow must be a function"),
    ],
)
def test_what_answers_cannot_go_by_is_refused_where_it_is_given(
    arguments: tuple[Any, Any, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        require_answering(*arguments)
