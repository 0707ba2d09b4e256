"""Events about objects: one for the same again, not too many, and none that makes a run fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioinformers.controllers import Controller, Request
from aioinformers.controllers import events as module
from aioinformers.controllers.events import Recorder, Regarding, reporter
from aioinformers.testing import FakeAPIServer
from tests.kit import configmap, factory_on

ABOUT = Regarding("v1", "ConfigMap", "shop", "a", "uid-a")


def note(recorder: Recorder, now: float, text: str = "all is well", about: Regarding = ABOUT) -> Any:
    return recorder.note(about, "Normal", "Deployed", text, "Reconcile", now)


def test_the_same_again_is_one_more_of_a_series() -> None:
    recorder = Recorder("sites")
    method, namespace, name, body = note(recorder, 0.0)
    assert (method, namespace, body["metadata"]) == ("POST", "shop", {"name": name, "namespace": "shop"})
    assert body["regarding"] == {
        "apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "uid-a", "namespace": "shop"
    }  # fmt: skip
    assert (body["reportingController"], body["note"]) == ("sites", "all is well")
    assert body["eventTime"].endswith("Z")
    for at, count in ((100.0, 2), (400.0, 3)):
        again = note(recorder, at)
        assert again[:3] == ("PATCH", "shop", name)
        assert again[3]["series"]["count"] == count
    assert note(recorder, 1000.0)[0] == "POST", "six minutes later it is news"
    assert note(recorder, 1010.0, "something else")[0] == "POST"


def test_about_one_object_nothing_is_written_more_than_once_a_second() -> None:
    recorder = Recorder("sites")
    assert note(recorder, 0.0) is not None
    assert note(recorder, 0.5) is None
    assert note(recorder, 0.9, "something else") is None
    assert note(recorder, 0.9, about=Regarding("v1", "ConfigMap", "shop", "b", "uid-b")) is not None
    assert note(recorder, 1.5)[3]["series"]["count"] == 3, "what was not written is counted"


def test_objects_without_a_namespace_have_their_events_in_the_default_one() -> None:
    _, namespace, _, body = note(Recorder("nodes"), 0.0, about=Regarding("v1", "Node", "", "n", "uid-n"))
    assert namespace == "default"
    assert "namespace" not in body["regarding"]


def test_a_note_is_cut_where_a_server_would_refuse_it_but_not_within_a_letter() -> None:
    """kube-apiserver counts bytes."""
    body = note(Recorder("sites"), 0.0, "x" + "ü" * 1000)[3]
    assert body["note"] == "x" + "ü" * 511


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("websites.example.com", "websites.example.com"),
        ("example.com/websites", "example.com/websites"),
        ("my websites!", "my-websites"),
        ("x" * 80, "x" * 63),
        ("ü", "controller"),
    ],
)
def test_who_reports_is_named_as_servers_take_it(name: str, told: str) -> None:
    assert reporter(name) == told


def test_not_all_there_ever_was_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SERIES", 10)
    recorder = Recorder("sites")
    for number in range(100):
        note(recorder, float(number), f"note {number}", Regarding("v1", "ConfigMap", "shop", "a", f"uid-{number}"))
    assert (len(recorder._series), len(recorder._written)) == (10, 10)


@pytest.mark.virtual_time
async def test_events_are_written_and_what_cannot_be_written_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        server.create("configmaps", configmap("a"))
        controller = Controller(factory.for_resource("configmaps.v1."), every=60)

        @controller.reconcile
        async def reconcile(request: Request[Any]) -> None:
            await request.event("Warning", "Missing", "there is no certificate")
            with pytest.raises(ValueError, match="the type of an Event is Normal or Warning, not 'Error'"):
                await request.event("Error", "Missing", "there is no certificate")
            with pytest.raises(ValueError, match="the reason of an Event is a text, not ''"):
                await request.event("Normal", "", "x")
            with pytest.raises(ValueError, match="the action of an Event has at most 128 bytes, unlike 'xx"):
                await request.event("Normal", "Done", "x", action="x" * 129)

        await factory.start()
        async with controller.running():
            await asyncio.sleep(130)
            (event,) = server.list("events.v1.events.k8s.io")
            assert (event["reason"], event["type"], event["series"]["count"]) == ("Missing", "Warning", 3)
            assert event["regarding"]["name"] == "a"
            server.fail("* events", 403, times=1)
            await asyncio.sleep(120)
            assert controller.statistics().failed == 0
            assert caplog.text.count("an Event could not be written: 403") == 1
            assert len(server.list("events.v1.events.k8s.io")) == 2
