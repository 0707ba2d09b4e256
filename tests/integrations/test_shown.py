"""What a face has been told to show."""

from __future__ import annotations

import pytest

from aioinformers import SharedInformerFactory
from aioinformers.controllers import Controller
from aioinformers.coordination import LeaderElection
from aioinformers.integrations.shown import Shown, Subject
from aioinformers.testing import FakeAPIServer
from tests.kit import collect

pytestmark = pytest.mark.virtual_time


async def test_all_that_is_shown_is_seen_at_once_and_what_two_share_is_seen_once() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        one, two = SharedInformerFactory(api, name="one"), SharedInformerFactory(api, name="two")
        controller = Controller(one.for_resource("configmaps.v1."))
        election = LeaderElection(api, "lease", namespace="default")
        shown = Shown("this board")
        for factory in (one, two):
            shown.add(Subject(factory, [controller], [election]))
        seen = shown.look()
        assert [factory.name for factory in seen.factories] == ["one", "two"]
        assert [each.name for each in seen.controllers] == ["configmaps"]
        assert [each.name for each in seen.elections] == ["default/lease"]


async def test_what_is_gone_or_taken_away_is_not_seen() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        shown = Shown("this board")
        one, two = SharedInformerFactory(api, name="one"), SharedInformerFactory(api, name="two")
        controller = Controller(one.for_resource("configmaps.v1."))
        first, second = Subject(one, [controller], ()), Subject(two, (), ())
        shown.add(first)
        shown.add(second)
        shown.remove(second)
        shown.remove(second)
        assert [factory.name for factory in shown.look().factories] == ["one"]
        del one, controller
        collect()
        assert first.factory is None
        seen = shown.look()
        assert (seen.factories, seen.controllers) == ((), ())
        shown.add(Subject(two, (), ()))


async def test_factories_that_could_not_be_told_apart_are_refused() -> None:
    async with FakeAPIServer() as server, server.api_client() as api:
        shown = Shown("this board")
        one, other = SharedInformerFactory(api, name="one"), SharedInformerFactory(api, name="one")
        shown.add(Subject(one, (), ()))
        with pytest.raises(ValueError, match="this board has the metrics of one already: once is enough"):
            shown.add(Subject(one, (), ()))
        with pytest.raises(ValueError, match="of another factory named 'one', and they could not be told apart: give"):
            shown.add(Subject(other, (), ()))
