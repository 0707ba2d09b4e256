"""Random histories of applies, patches and updates end alike on the embedded and the real server."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from aioinformers.testing import FakeAPIServer
from tests.conformance.gadgets import Gadgets, owners
from tests.conformance.rest import Rest
from tests.conformance.test_objects import failure
from tests.kit.fixtures import APIServer


def some_spec(rng: random.Random) -> dict[str, Any]:
    """Return a spec with some of the fields of the schema."""
    few, values = ["a", "b", "c"], ["1", "2"]

    def texts() -> list[str]:
        return rng.sample(few, rng.randrange(3))

    def struct() -> dict[str, str]:
        return {name: rng.choice(values) for name in rng.sample(["a", "b"], rng.randrange(3))}

    def item(name: str, port: int) -> dict[str, Any]:
        made: dict[str, Any] = {"name": name, "port": port}
        if rng.random() < 0.6:
            made["value"] = rng.choice(values)
        return made | ({"tags": texts()} if rng.random() < 0.4 else {})

    def items() -> list[dict[str, Any]]:
        return [item(name, port) for name, port in rng.sample([("a", 1), ("a", 2), ("b", 1)], rng.randrange(4))]

    makers: dict[str, Callable[[], Any]] = {
        "text": lambda: rng.choice(values),
        "struct": struct,
        "map": lambda: {name: rng.choice(values) for name in texts()},
        "structs": lambda: {name: struct() for name in texts()},
        "whole": struct,
        "list": texts,
        "set": texts,
        "items": items,
        "free": lambda: {name: rng.choice([struct(), texts(), "1"]) for name in texts()},
    }
    return {name: makers[name]() for name in rng.sample(sorted(makers), rng.randrange(len(makers)))}


async def history(rest: Rest, seed: int, steps: int) -> list[Any]:
    """Write an object by random applies, patches and updates; return what each was answered with."""
    rng, gadgets = random.Random(seed), await Gadgets.define(rest)
    await gadgets.applied("one", some_spec(rng))
    answers: list[Any] = []
    for _ in range(steps):
        manager, spec = rng.choice(["one", "two", "three"]), some_spec(rng)
        kind, force = rng.randrange(6), rng.random() < 0.5
        if kind < 4:
            answer = await gadgets.apply(manager, spec, force=force)
        elif kind == 4:
            answer = await gadgets.patch(manager, {"spec": spec})
        else:
            there = (await rest.get(gadgets.path())).json
            answer = await rest.request("PUT", gadgets.path(), there | {"spec": spec}, query={"fieldManager": manager})
        if answer.status == 422:  # null is no object
            answers.append(sorted(each["field"] for each in failure(answer)[2]["causes"]))
        elif answer.status == 409:
            causes = failure(answer)[2]["causes"]
            answers.append(sorted((each["field"], each["message"].partition(" using")[0]) for each in causes))
        else:
            assert answer.status == 200, answer.body
            answers.append(
                [spec, answer.json.get("spec"), {name: sorted(each) for name, each in owners(answer).items()}]
            )
    return answers


@pytest.mark.realserver
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
async def test_any_history_leaves_the_same_object_and_owners(real_server: APIServer, seed: int) -> None:
    """Step by step, on both servers."""
    async with Rest.connect(real_server) as rest:
        real = await history(rest, seed, 40)
    async with FakeAPIServer() as server, Rest.connect(server) as rest:
        fake = await history(rest, seed, 40)

    for step, (theirs, ours) in enumerate(zip(real, fake, strict=True)):
        assert json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True), f"step {step} of {real[:step]}"


@pytest.mark.parametrize("seed", range(3))
async def test_any_history_is_possible(seed: int) -> None:
    """The embedded server answers each of these histories."""
    async with FakeAPIServer() as server, Rest.connect(server) as rest:
        answers = await history(rest, seed, 40)
    assert len(answers) == 40
