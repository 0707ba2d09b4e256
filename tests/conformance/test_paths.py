"""Which paths exist, and discovery: the embedded and the real server answer alike."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.rest import Rest
from tests.conformance.test_objects import failure


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/widgets",
        "/api/v1/configmaps/x",
        "/api/v1/namespaces/default/nodes",
        "/api/v2/nodes",
        "/apis/apps/v1/widgets/x",
        "/api/v1/nodes/x/nonsense",
        "/api/v1/nodes/x/nonsense/more",
    ],
)
async def test_unknown_resources(rest: Rest, path: str) -> None:
    """404 with a Status whose details are empty: nobody can take it for a missing object."""
    assert failure(await rest.get(path)) == (404, "NotFound", {})


@pytest.mark.parametrize("path", ["/nonsense", "/apis/nonsense.example.com/v1/widgets", "/apis/nonsense.example.com"])
async def test_unknown_groups(rest: Rest, path: str) -> None:
    """404 with plain text: no Status."""
    answer = await rest.get(path)

    assert (answer.status, answer.body) == (404, b"404 page not found\n")
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/configmaps"), ("PUT", "/api/v1/configmaps"), ("DELETE", "/api/v1/pods")],
)
async def test_wrong_methods(rest: Rest, method: str, path: str) -> None:
    """405 MethodNotAllowed."""
    assert failure(await rest.request(method, path, {})) == (405, "MethodNotAllowed", {})


async def test_groups_and_versions(rest: Rest) -> None:
    """/api, /apis and the document of one group."""
    widgets = await rest.custom_resource()
    group = widgets.partition("/")[0]
    listed = [{"groupVersion": widgets, "version": "v1"}]
    described = {"name": group, "versions": listed, "preferredVersion": listed[0]}

    core = (await rest.get("/api")).json
    assert (core["kind"], core["versions"]) == ("APIVersions", ["v1"])
    groups = (await rest.get("/apis")).json
    assert groups["kind"] == "APIGroupList"
    assert {"apps", "batch", "apiextensions.k8s.io"} <= {each["name"] for each in groups["groups"]}
    assert described in groups["groups"]
    assert (await rest.get(f"/apis/{group}")).json == {"kind": "APIGroup", "apiVersion": "v1", **described}


async def test_resources_of_a_version(rest: Rest) -> None:
    """Names, scope, kind, verbs and short names."""
    core = (await rest.get("/api/v1")).json
    assert (core["kind"], core["groupVersion"]) == ("APIResourceList", "v1")
    named = {each["name"]: each for each in core["resources"]}
    pods = named["pods"]
    assert (pods["kind"], pods["singularName"], pods["namespaced"]) == ("Pod", "pod", True)
    assert pods["shortNames"] == ["po"]
    assert {"list", "watch", "get", "create"} <= set(pods["verbs"])
    assert not named["nodes"]["namespaced"]
    assert set(named["pods/status"]["verbs"]) == {"get", "patch", "update"}
    widgets = await rest.custom_resource()
    custom = (await rest.get(f"/apis/{widgets}")).json
    assert (custom["groupVersion"], custom["resources"][0]["shortNames"]) == (widgets, ["wd"])


async def test_builtin_resources_are_those_of_the_real_server(rest: Rest) -> None:
    """What the embedded server has by default is described as the real one describes it."""
    from aioinformers.testing import DEFAULT_RESOURCES

    documents: dict[str, dict[str, dict[str, object]]] = {}
    for resource in DEFAULT_RESOURCES:
        path = resource.gvr.path
        if path not in documents:
            documents[path] = {each["name"]: each for each in (await rest.get(path)).json["resources"]}
        plural, served = resource.gvr.resource, documents[path]
        entry = served[plural]
        assert entry["kind"] == resource.kind
        assert entry["namespaced"] is resource.namespaced, plural
        assert entry["singularName"] == resource.singular
        assert set(resource.short_names) <= set(entry.get("shortNames") or ()), plural  # type: ignore[call-overload]
        assert (f"{plural}/status" in served) is resource.status, plural


async def test_version_and_health(rest: Rest) -> None:
    """The documents that every client asks for."""
    version = (await rest.get("/version")).json

    assert (version["major"], version["minor"]) == ("1", "37")
    assert version["gitVersion"].startswith("v1.37.")
    assert (await rest.get("/readyz")).body == b"ok"


async def test_a_definition_comes_and_goes(rest: Rest) -> None:
    """A CRD is established, serves its resource, and takes it away."""
    widgets = await rest.custom_resource()
    name = f"widgets.{widgets.partition('/')[0]}"
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    crd = (await rest.get(f"{crds}/{name}")).json
    conditions = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    made = await rest.widget(widgets, "x")

    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert crd["status"]["acceptedNames"]["kind"] == "Widget"
    assert (await rest.delete(f"{crds}/{name}")).status == 200
    async with asyncio.timeout(20):
        while (await rest.get(f"/apis/{widgets}/widgets", resourceVersion=made.version)).status != 404:
            await asyncio.sleep(0.05)
