"""The formats of patches, and what is refused by name instead of done otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers.testing import FakeAPIServer
from aioinformers.testing.apiserver.patches import JSON, MERGE, STRATEGIC, media_type_of, read_applied, read_patch
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources
from aioinformers.testing.apiserver.status import StatusError
from tests.testing.apiserver.contents import WIDGETS

PODS = Resources(DEFAULT_RESOURCES).resolve("pods")
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}


def patched(media_type: str, patch: Any, obj: dict[str, Any]) -> Any:
    return read_patch(PODS, media_type, json.dumps(patch).encode())(obj)


def test_patches_without_lists_are_the_same_in_both_formats() -> None:
    patch = {"metadata": {"labels": {"a": None, "b": "c"}}, "spec": {"nodeName": "n", "replicas": 3}}
    for media_type in (MERGE, STRATEGIC):
        assert patched(media_type, patch, {"metadata": {"labels": {"a": "b"}}, "spec": {"x": 1}}) == {
            "metadata": {"labels": {"b": "c"}},
            "spec": {"x": 1, "nodeName": "n", "replicas": 3},
        }


def test_json_patches_leave_no_null_in_a_built_in_kind() -> None:
    """Its Go struct has none; a custom object keeps it."""
    patch = json.dumps([{"op": "add", "path": "/spec", "value": {"a": None, "b": [{"c": None}]}}]).encode()

    assert read_patch(PODS, JSON, patch)({}) == {"spec": {"b": [{}]}}
    assert read_patch(WIDGETS, JSON, patch)({}) == {"spec": {"a": None, "b": [{"c": None}]}}


@pytest.mark.parametrize(
    ("resource", "media_type", "words"),
    [
        (PODS, "application/json", "415: Unsupported Media Type"),
        (PODS, "", "415: Unsupported Media Type"),
        (WIDGETS, STRATEGIC, f"accepted media types include: {JSON}, {MERGE}, application/apply-patch+yaml"),
        (WIDGETS, "application/json", "the body of the request was in an unknown format"),
    ],
)
def test_formats_that_are_not_taken(resource: Resource, media_type: str, words: str) -> None:
    """Custom objects have no schema for a strategic merge patch."""
    with pytest.raises(StatusError) as caught:
        read_patch(resource, media_type, b"[]")
    assert (caught.value.code, caught.value.reason) == (415, "UnsupportedMediaType")
    assert words in caught.value.message


def test_what_is_applied_is_json_or_yaml() -> None:
    assert read_applied(b'{"a": [1, "x"]}') == {"a": [1, "x"]}
    assert read_applied(b"a:\n- 1\n- x\nt: 2026-01-01T00:00:00Z\n") == {"a": [1, "x"], "t": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "cannot unmarshal array into Go value of type map[string]interface {}"),
        (b"text", "cannot unmarshal string into Go value"),
        (b"a: [", "error encoding patch: "),
        (b"1: x", "error encoding patch: "),
        (b"\xff", "error encoding patch: "),
    ],
)
def test_what_cannot_be_applied(body: bytes, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        read_applied(body)
    assert caught.value.code == 400
    assert words in caught.value.message


def test_media_types_have_parameters() -> None:
    assert media_type_of({"content-type": f"{MERGE}; charset=utf-8"}) == MERGE
    assert media_type_of({}) == ""


async def test_the_default_patch_of_the_client_merges_lists(fake_server: FakeAPIServer) -> None:
    fake_server.create("pods", POD)
    patch = {"spec": {"containers": [{"name": "b", "image": "2"}]}}
    async with fake_server.api_client() as api:
        core = client.CoreV1Api(api)
        await core.patch_namespaced_pod("p", "default", patch)
        assert fake_server.get("pods", "p")["spec"]["containers"] == [
            {"name": "a", "image": "1"},
            {"name": "b", "image": "2"},
        ]
        merge: dict[str, Any] = {"_content_type": MERGE}
        await core.patch_namespaced_pod("p", "default", patch, **merge)
        assert fake_server.get("pods", "p")["spec"]["containers"] == [{"name": "b", "image": "2"}]
