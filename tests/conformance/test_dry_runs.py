"""Writes that are only tried: the embedded and the real server answer alike, and neither writes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.rest import MERGE_PATCH, Rest
from tests.conformance.test_objects import failure
from tests.conformance.test_patches import JSON_PATCH

DRY = {"dryRun": "All"}


async def test_a_dry_run_of_a_creation(rest: Rest) -> None:
    """201 with a uid and without a resourceVersion; the name stays free."""
    path = rest.path("configmaps")
    made = await rest.request("POST", path, {"metadata": {"name": "x"}, "data": {"k": "v"}}, query=DRY)

    assert made.status == 201
    assert made.json["data"] == {"k": "v"}
    assert made.json["metadata"]["uid"]
    assert "resourceVersion" not in made.json["metadata"]
    assert (await rest.get(rest.path("configmaps", "x"))).status == 404
    await rest.configmap("x")
    again = await rest.request("POST", path, {"metadata": {"name": "x"}}, query=DRY)
    assert failure(again) == (409, "AlreadyExists", {"name": "x", "kind": "configmaps"})
    generated = await rest.request("POST", path, {"metadata": {"generateName": "x-"}}, query=DRY)
    assert generated.json["metadata"]["name"].startswith("x-")


@pytest.mark.parametrize(
    ("method", "body", "content_type", "data"),
    [
        ("PUT", {"metadata": {"name": "x"}, "data": {"j": "w"}}, "application/json", {"j": "w"}),
        ("PATCH", {"data": {"j": "w"}}, MERGE_PATCH, {"k": "v", "j": "w"}),
        ("PATCH", [{"op": "remove", "path": "/data/k"}], JSON_PATCH, None),
    ],
)
async def test_a_dry_run_of_a_change(rest: Rest, method: str, body: Any, content_type: str, data: Any) -> None:
    """200 with the result in the old version; no watch sees it."""
    path = rest.path("configmaps", "x")
    made = await rest.configmap("x")
    tried = await rest.request(method, path, body, content_type=content_type, query=DRY)

    assert (tried.status, tried.version, tried.json.get("data") or None) == (200, made.version, data)
    assert (await rest.get(path)).body == made.body
    assert await rest.watch(rest.path("configmaps"), resourceVersion=made.version) == []


async def test_a_dry_run_of_a_change_that_is_refused(rest: Rest) -> None:
    """As without."""
    path = rest.path("configmaps", "x")
    assert (await rest.request("PUT", path, {"metadata": {"name": "x"}}, query=DRY)).status == 404
    await rest.configmap("x")
    stale = {"metadata": {"name": "x", "resourceVersion": "1"}}
    assert failure(await rest.request("PUT", path, stale, query=DRY))[:2] == (409, "Conflict")


@pytest.mark.parametrize("place", ["query", "body"])
async def test_a_dry_run_of_a_deletion(rest: Rest, place: str) -> None:
    """Success, or the object as it would be marked; what is in the body replaces what is in the query."""
    await rest.configmap("x")
    marked = {"metadata": {"name": "y", "finalizers": ["example.com/a"]}}
    made = await rest.post(rest.path("configmaps"), marked)
    query, body = (DRY, None) if place == "query" else ({}, {"dryRun": ["All"]})
    gone = await rest.request("DELETE", rest.path("configmaps", "x"), body, query=query)
    kept = await rest.request("DELETE", rest.path("configmaps", "y"), body, query=query)
    everything = await rest.request("DELETE", rest.path("configmaps"), body, query=query)

    assert (gone.status, gone.json["status"]) == (200, "Success")
    assert (kept.status, kept.version) == (200, made.version)
    assert kept.json["metadata"]["deletionTimestamp"]
    assert everything.status == 200
    there = {name: await rest.get(rest.path("configmaps", name)) for name in ("x", "y")}
    assert there["x"].status == 200
    assert there["y"].body == made.body


async def test_the_body_of_a_deletion_counts_alone(rest: Rest) -> None:
    """Whoever sends both a body and a query deletes in earnest."""
    await rest.configmap("x")
    gone = await rest.request(
        "DELETE", rest.path("configmaps", "x"), {"kind": "DeleteOptions", "apiVersion": "v1"}, query=DRY
    )

    assert gone.status == 200
    assert (await rest.get(rest.path("configmaps", "x"))).status == 404


@pytest.mark.parametrize("value", ["", "some"])
async def test_there_is_one_kind_of_dry_run(rest: Rest, value: str) -> None:
    """422 names the options of each verb."""
    await rest.configmap("x")
    path, query = rest.path("configmaps", "x"), {"dryRun": value}
    for method, where, body, content_type, kind in (
        ("POST", rest.path("configmaps"), {"metadata": {"name": "y"}}, "application/json", "CreateOptions"),
        ("PUT", path, {"metadata": {"name": "x"}}, "application/json", "UpdateOptions"),
        ("PATCH", path, {}, MERGE_PATCH, "PatchOptions"),
        ("DELETE", path, None, "application/json", "DeleteOptions"),
    ):
        refused = await rest.request(method, where, body, content_type=content_type, query=query)
        status, reason, details = failure(refused)
        assert (status, reason, details["kind"], details["group"]) == (422, "Invalid", kind, "meta.k8s.io")
        (cause,) = details["causes"]
        assert (cause["field"], cause["reason"]) == ("dryRun", "FieldValueNotSupported")
        assert cause["message"] == f'Unsupported value: ["{value}"]: supported values: "All"'


async def test_options_that_cannot_be(rest: Rest) -> None:
    """422 names the field."""
    path = rest.path("configmaps", "x")
    await rest.configmap("x")
    for query, field in (
        ({"fieldManager": "x" * 129}, "fieldManager"),
        ({"fieldManager": "a\tb"}, "fieldManager"),
        ({"force": "true"}, "force"),
        ({"fieldValidation": "maybe"}, "fieldValidation"),
    ):
        refused = await rest.request("PATCH", path, {"data": {}}, content_type=MERGE_PATCH, query=query)
        status, reason, details = failure(refused)
        assert (status, reason, [each["field"] for each in details["causes"]]) == (422, "Invalid", [field])
