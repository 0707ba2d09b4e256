"""Patches: the embedded and the real server make the same of them, and refuse the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.rest import Answer, Rest
from tests.conformance.test_objects import failure

JSON_PATCH = "application/json-patch+json"


def content(answer: Answer) -> Any:
    """What a test has written of a ConfigMap."""
    metadata = answer.json["metadata"]
    kept = {name: metadata[name] for name in ("labels", "annotations", "finalizers") if name in metadata}
    return kept | {"data": answer.json.get("data")}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/data/j", "value": "w"}], {"data": {"k": "v", "j": "w"}}),
        ([{"op": "replace", "path": "/data/k", "value": "w"}], {"data": {"k": "w"}}),
        ([{"op": "replace", "path": "/data/new", "value": "w"}], {"data": {"k": "v", "new": "w"}}),
        ([{"op": "remove", "path": "/data/k"}, {"op": "add", "path": "/data/j", "value": ""}], {"data": {"j": ""}}),
        ([{"op": "move", "from": "/data/k", "path": "/data/j"}], {"data": {"j": "v"}}),
        ([{"op": "copy", "from": "/data/k", "path": "/data/j"}], {"data": {"k": "v", "j": "v"}}),
        ([{"op": "test", "path": "/data/k", "value": "v"}], {"data": {"k": "v"}}),
        ([{"op": "test", "path": "/data/nothing", "value": None}], {"data": {"k": "v"}}),
        ([{"op": "test", "path": "/metadata/labels", "value": {"a/b": "c"}}], {"data": {"k": "v"}}),
        ([{"op": "test", "path": "/metadata/labels/a~1b", "value": "c"}], {"data": {"k": "v"}}),
        ([], {"data": {"k": "v"}}),
    ],
)
async def test_json_patches(rest: Rest, operations: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    """RFC 6902, and a replace that adds."""
    await rest.configmap("x", **{"a/b": "c"})
    patched = await rest.patch(rest.path("configmaps", "x"), operations, JSON_PATCH)

    assert patched.status == 200, patched.body
    assert content(patched) == {"labels": {"a/b": "c"}, **expected}
    assert (await rest.get(rest.path("configmaps", "x"))).body == patched.body


async def test_json_patches_of_lists(rest: Rest) -> None:
    """A test on a list guards a change of it, wherever in it that is made."""
    path = rest.path("configmaps", "x")
    await rest.post(rest.path("configmaps"), {"metadata": {"name": "x", "finalizers": ["a.b/c"]}})
    for operations, finalizers in (
        (
            [
                {"op": "test", "path": "/metadata/finalizers", "value": ["a.b/c"]},
                {"op": "add", "path": "/metadata/finalizers/-", "value": "a.b/d"},
            ],
            ["a.b/c", "a.b/d"],
        ),
        ([{"op": "add", "path": "/metadata/finalizers/0", "value": "a.b/e"}], ["a.b/e", "a.b/c", "a.b/d"]),
        ([{"op": "remove", "path": "/metadata/finalizers/1"}], ["a.b/e", "a.b/d"]),
        ([{"op": "remove", "path": "/metadata/finalizers/-1"}], ["a.b/e"]),
        ([{"op": "replace", "path": "/metadata/finalizers", "value": ["a.b/f"]}], ["a.b/f"]),
        ([{"op": "remove", "path": "/metadata/finalizers"}], None),
    ):
        patched = await rest.patch(path, operations, JSON_PATCH)
        assert patched.status == 200, patched.body
        assert patched.json["metadata"].get("finalizers") == finalizers
    stale = [{"op": "test", "path": "/metadata/finalizers", "value": ["a.b/f"]}]
    assert failure(await rest.patch(path, stale, JSON_PATCH)) == (422, "Invalid", {})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/k", "value": "other"},
        {"op": "test", "path": "/data/nothing", "value": ""},
        {"op": "test", "path": "/data"},
        {"op": "remove", "path": "/data/nothing"},
        {"op": "add", "path": "/spec/x", "value": "y"},
        {"op": "add", "path": "", "value": "y"},
        {"op": "move", "from": "/data/nothing", "path": "/data/k"},
        {"op": "other", "path": "/data/k"},
        {"path": "/data/k"},
        {"op": "add", "value": "y"},
    ],
)
async def test_json_patches_that_do_not_apply(rest: Rest, operation: dict[str, Any]) -> None:
    """422 Invalid, all of them in the same words; and nothing of the patch is done."""
    made = await rest.configmap("x")
    path = rest.path("configmaps", "x")
    first = {"op": "add", "path": "/data/j", "value": "w"}
    refused = await rest.patch(path, [first, operation], JSON_PATCH)

    assert failure(refused) == (422, "Invalid", {})
    assert refused.json["message"] == "the server rejected our request due to an error in our request"
    assert (await rest.get(path)).body == made.body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{bad", "invalid JSON patch"),
        ({"data": {"k": "w"}}, "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (["add"], "cannot unmarshal string into Go value of type handlers.jsonPatchOp"),
        ([{"op": 1, "path": "/data/k"}], "cannot unmarshal number into Go struct field jsonPatchOp.op of type string"),
        ([{"op": "replace", "path": "/metadata/name", "value": "y"}], "the name of the object (y) does not match"),
    ],
)
async def test_json_patches_that_are_none(rest: Rest, body: Any, words: str) -> None:
    """400 BadRequest says what is wrong."""
    await rest.configmap("x")
    refused = await rest.patch(rest.path("configmaps", "x"), body, JSON_PATCH)

    assert failure(refused) == (400, "BadRequest", None)
    assert words in refused.json["message"]


async def test_json_patches_of_custom_objects_and_their_status(rest: Rest) -> None:
    """Each in its part; null is a value."""
    widgets = await rest.custom_resource()
    path = rest.path("widgets", "x", group=widgets)
    await rest.widget(widgets, "x", spec={"a": [1, 2]})
    operations = [
        {"op": "test", "path": "/spec/a/0", "value": 1},
        {"op": "replace", "path": "/spec/a/1", "value": {"b": 3}},
        {"op": "add", "path": "/status", "value": {"ready": True}},
    ]
    patched = await rest.patch(path, operations, JSON_PATCH)
    assert (patched.json["spec"], patched.json.get("status")) == ({"a": [1, {"b": 3}]}, None)
    assert patched.json["metadata"]["generation"] == 2

    operations = [{"op": "add", "path": "/status", "value": {"ready": True}}, {"op": "remove", "path": "/spec"}]
    reported = await rest.patch(f"{path}/status", operations, JSON_PATCH)
    assert (reported.json["spec"], reported.json["status"]) == ({"a": [1, {"b": 3}]}, {"ready": True})
    missing = await rest.patch(rest.path("widgets", "y", group=widgets), [], JSON_PATCH)
    assert failure(missing)[:2] == (404, "NotFound")


async def test_a_patch_of_another_format(rest: Rest) -> None:
    """415, and the formats that there are."""
    await rest.configmap("x")
    refused = await rest.patch(rest.path("configmaps", "x"), b"{}", "application/json")

    assert failure(refused)[:2] == (415, "UnsupportedMediaType")


async def test_a_json_patch_is_guarded_by_its_version(rest: Rest) -> None:
    """As a test, and as the version of the result."""
    path = rest.path("configmaps", "x")
    made = await rest.configmap("x")
    changed = await rest.patch(path, json.dumps({"data": {"j": "w"}}).encode())
    old = [{"op": "test", "path": "/metadata/resourceVersion", "value": made.version}]
    assert failure(await rest.patch(path, old, JSON_PATCH))[:2] == (422, "Invalid")
    old[0]["op"] = "replace"
    assert failure(await rest.patch(path, [*old, {"op": "remove", "path": "/data"}], JSON_PATCH))[:2] == (
        409,
        "Conflict",
    )
    now = [{"op": "test", "path": "/metadata/resourceVersion", "value": changed.version}]
    assert (await rest.patch(path, now, JSON_PATCH)).version == changed.version
