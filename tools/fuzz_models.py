"""Reads random documents in every way there is, and stops at the first that two ways read differently.

``python -m tools.fuzz_models --documents 50000`` makes documents of the client's kinds with parts missing, members in
another order or twice, and values of other types. Each is read as ``ApiClient.deserialize`` reads it, by one scan of
the whole, by parts in random order out of a store where others read the same version and change what they got, and
packed. A difference is printed with the document.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import pickle
import random
import time
from types import SimpleNamespace
from typing import Any

from kubernetes_asyncio import client

from aioinformers.objects.layout import Entry
from aioinformers.objects.object_types import CompactType, ObjectType, compacted, object_type_of
from tests.kit.stock import api, assert_same, full, kinds

USUAL_ORDER = ["kind", "apiVersion", "metadata", "spec", "status"]
ODD_VALUES: list[Any] = ["text", "5", "2026-01-02", 5, 7.0, 1.5, True, [], ["a", None], None]
REFUSALS = (AttributeError, KeyError, TypeError, ValueError, client.ApiException)
"""What the client raises of documents that it cannot read; ours are read all the same."""


class Members(list[tuple[str, Any]]):
    """The members of an object in their order, of which some may have one name."""


def members(value: Any, chance: random.Random, depth: int = 0) -> Any:
    """Return a value with parts missing, in another order, twice, or of another type."""
    if depth and chance.random() < 0.01:
        # In the place of a list, which null may be, the client takes a text apart, and we do not.
        is_list = value is None or isinstance(value, list)
        return chance.choice([odd for odd in ODD_VALUES if not (is_list and isinstance(odd, str))])
    if isinstance(value, list):
        return [members(each, chance, depth + 1) for each in value[: chance.randrange(3)]]
    if not isinstance(value, dict):
        return value
    kept = [name for name in value if chance.random() < (0.85 if depth < 1 else 0.3)]
    if depth == 0 and chance.random() < 0.7:
        kept.sort(key=lambda name: USUAL_ORDER.index(name) if name in USUAL_ORDER else 2.5)
    else:
        chance.shuffle(kept)
    if kept and chance.random() < 0.1:
        kept.insert(chance.randrange(len(kept) + 1), chance.choice(kept))
    return Members((name, members(value[name], chance, depth + 1)) for name in kept)


def text_of(value: Any) -> str:
    """Return the JSON of a value."""
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(name)}:{text_of(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return json.dumps(value, separators=(",", ":"))


def spoil(model: Any, chance: random.Random) -> None:
    """Change what a reader got of an object, which is nobody else's."""
    names = list(model.openapi_types)
    for name in chance.sample(names, min(3, len(names))):
        value = getattr(model, name)
        if isinstance(value, list | dict):
            value.clear()
        elif hasattr(value, "openapi_types") and chance.random() < 0.8:
            spoil(value, chance)
        else:
            setattr(model, name, None)


def read_some(model: Any, chance: random.Random) -> None:
    """Read some attributes, and some of what they lead to, in random order."""
    names = list(model.openapi_types)
    for name in chance.sample(names, chance.randrange(len(names) + 1)):
        value = getattr(model, name)
        if hasattr(value, "openapi_types"):
            read_some(value, chance)


def check(model: type, raw: bytes, types: list[ObjectType[Any]], chance: random.Random) -> bool:
    """Read a document in every way; return whether the client could read it, too.

    Raises:
        AssertionError: If two ways differ.
    """
    whole: Any = types[0].decode(raw)
    expected = whole.to_dict()
    for object_type in types:
        entry = Entry(raw, "u", "1", (), key="a/b")
        if isinstance(object_type, CompactType) and chance.random() < 0.5:
            entry.body = object_type.packer.pack(raw)
        object_type.levels.clear()
        object_type.levels.find = {"a/b": entry}.get
        for _ in range(3):
            shell: Any = object_type.show(entry)
            read_some(shell, chance)
            for twin in (shell, copy.copy(shell), copy.deepcopy(shell), pickle.loads(pickle.dumps(shell))):
                assert twin.to_dict() == expected
            spoil(shell, chance)
        assert object_type.show(entry) == whole
    try:
        theirs = api().deserialize(SimpleNamespace(data=raw.decode()), model.__name__)
    except REFUSALS:
        return False
    assert_same(types[0].decode(raw), theirs)
    return True


def main() -> None:
    """Check so many documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=None, help="another one each time, if none is given")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    chance = random.Random(seed)
    models = kinds()
    documents = {model: full(model.__name__) for model in models}
    types = {model: [object_type_of(model), compacted(object_type_of(model))] for model in models}
    began, compared = time.monotonic(), 0
    with contextlib.ExitStack() as stack:
        configuration = client.Configuration.get_default_copy()
        configuration.client_side_validation = False
        client.Configuration.set_default(configuration)
        stack.callback(client.Configuration.set_default, None)
        for number in range(1, options.documents + 1):
            model = chance.choice(models)
            text = text_of(members(documents[model], chance))
            try:
                compared += check(model, text.encode(), types[model], chance)
            except AssertionError as error:
                raise SystemExit(f"seed {seed}, document {number}, {model.__name__}: {error}\n{text}") from error
            if number % 5_000 == 0:
                print(f"{time.monotonic() - began:6.0f} s: {number} documents, 0 differences", flush=True)
    print(f"seed {seed}: {options.documents} documents, {compared} of them read by the client, too, 0 differences")


if __name__ == "__main__":
    main()
