"""The client's own models and what its ``deserialize`` makes of JSON: the measure for ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from kubernetes_asyncio import client

from aioinformers.objects.models import model_decoder

SCALARS: dict[str, Any] = {
    "str": "text",
    "int": 7,
    "float": 1,
    "bool": True,
    "datetime": "2026-01-02T03:04:05Z",
    "object": {"any": [1, None, "x"]},
}


NO_KINDS = {"V2APIGroupDiscovery", "V2beta1APIGroupDiscovery"}
"""Items of discovery documents; ``deserialize`` fails on them, for the client lacks a class that they name."""


def kinds() -> list[type]:
    """Return the class of every kind that can be listed."""
    lists = [model for name, model in vars(client).items() if name.endswith("List") and hasattr(model, "attribute_map")]
    items = [re.fullmatch(r"list\[(.*)\]", model.openapi_types.get("items", "")) for model in lists]
    return sorted(
        {getattr(client, match[1]) for match in items if match and match[1] not in NO_KINDS},
        key=lambda model: model.__name__,
    )


def reachable(roots: Iterable[type]) -> list[type]:
    """Return the classes that the types of fields lead to."""
    found: dict[str, type] = {}
    waiting = [root.__name__ for root in roots]
    while waiting:
        name = waiting.pop()
        if name not in found and hasattr(client, name):
            found[name] = model = getattr(client, name)
            waiting += [word for type_ in model.openapi_types.values() for word in re.findall(r"\w+", type_)]
    return [found[name] for name in sorted(found)]


def full(type_name: str, depth: int = 0) -> Any:
    """Return JSON in which every field has a value; recursive classes end at some depth."""
    if type_name in SCALARS:
        return SCALARS[type_name]
    if match := re.fullmatch(r"list\[(.*)\]", type_name):
        return [full(match[1], depth), None, full(match[1], depth)]
    if match := re.fullmatch(r"dict\(str, (.*)\)", type_name):
        return {"one": full(match[1], depth), "none": None}
    model: Any = getattr(client, type_name)
    if depth > 7 or (depth and type_name == "V1JSONSchemaProps"):
        return {}
    return {model.attribute_map[name]: full(type_, depth + 1) for name, type_ in model.openapi_types.items()}


def deserialize(document: object, model: type) -> Any:
    """Do what the client does with a response."""
    return api().deserialize(SimpleNamespace(data=json.dumps(document)), model.__name__)


def sanitize(model: object) -> Any:
    """Do what the client does with a body before it sends it."""
    return api().sanitize_for_serialization(model)


def known(document: Any, type_name: str) -> Any:
    """Return what the client knows of JSON, without nulls, and with times as it writes them."""
    if match := re.fullmatch(r"list\[(.*)\]", type_name):
        return [known(value, match[1]) for value in document]
    if match := re.fullmatch(r"dict\(str, (.*)\)", type_name):
        return {name: known(value, match[1]) for name, value in document.items()}
    if type_name in SCALARS:
        return datetime.fromisoformat(document).isoformat() if type_name == "datetime" else document
    model: Any = getattr(client, type_name)
    types = {model.attribute_map[name]: type_ for name, type_ in model.openapi_types.items()}
    return {name: known(value, types[name]) for name, value in document.items() if name in types and value is not None}


def api() -> Any:
    """Return a client without a session and without a loop, which conversions do not need."""
    return object.__new__(client.ApiClient)


def decode(document: object, model: type, **filled: str) -> Any:
    """Do what an informer does with an object."""
    return model_decoder(model, **filled)(json.dumps(document).encode())


def assert_same(ours: Any, theirs: Any, where: str = "") -> None:
    """Compare two models, and all that they refer to, attribute by attribute."""
    if isinstance(theirs, datetime):
        assert ours == theirs, where
        assert ours.utcoffset() == theirs.utcoffset(), where
    elif hasattr(theirs, "openapi_types"):
        assert isinstance(ours, getattr(client, type(theirs).__name__)), where
        assert type(ours).__name__ == type(theirs).__name__, where
        assert ours.discriminator is theirs.discriminator is None, where
        for name in theirs.openapi_types:
            assert_same(getattr(ours, name), getattr(theirs, name), f"{where}.{name}")
    elif isinstance(theirs, list):
        assert type(ours) is list, where
        assert len(ours) == len(theirs), where
        for index, value in enumerate(theirs):
            assert_same(ours[index], value, f"{where}[{index}]")
    elif isinstance(theirs, dict):
        assert type(ours) is dict, where
        assert ours.keys() == theirs.keys(), where
        for name, value in theirs.items():
            assert_same(ours[name], value, f"{where}[{name!r}]")
    else:
        assert type(ours) is type(theirs), where
        assert ours == theirs, where
