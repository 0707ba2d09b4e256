"""The aggregated discovery documents: when they are given, and what they say."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.discovery import AGGREGATED
from aioinformers.testing import DEFAULT_RESOURCES, FakeAPIServer
from tests.conformance.rest import Rest
from tests.kit.fixtures import APIServer

TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
BETA = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"


@pytest.mark.parametrize("path", ["/api", "/apis"])
@pytest.mark.parametrize(
    ("accept", "is_aggregated"),
    [
        (AGGREGATED, True),
        (f"{TYPE},application/json", True),
        (f"{BETA},application/json", False),
        ("application/json;as=Table;g=meta.k8s.io;v=v1,application/json", False),
        ("application/json", False),
        ("*/*", False),
    ],
)
async def test_which_document_is_given(rest: Rest, path: str, accept: str, is_aggregated: bool) -> None:
    """The aggregated one to those who ask for it in a version that there is."""
    answer = await rest.request("GET", path, headers={"Accept": accept})

    assert answer.status == 200
    if is_aggregated:
        assert answer.headers["Content-Type"] == TYPE
        assert (answer.json["kind"], answer.json["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
    else:
        assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
        assert answer.json["kind"] == ("APIVersions" if path == "/api" else "APIGroupList")


@pytest.mark.parametrize("accept", [BETA, "application/json;as=Table;g=meta.k8s.io;v=v1"])
async def test_nothing_that_is_accepted(rest: Rest, accept: str) -> None:
    """406 NotAcceptable."""
    answer = await rest.request("GET", "/apis", headers={"Accept": accept})

    assert (answer.status, answer.json["reason"]) == (406, "NotAcceptable")
    assert answer.json["message"].startswith("only the following media types are accepted: application/json")


async def test_only_the_roots_are_aggregated(rest: Rest) -> None:
    """The documents of groups and versions stay what they are."""
    group = await rest.request("GET", "/apis/apps", headers={"Accept": AGGREGATED})
    version = await rest.request("GET", "/apis/apps/v1", headers={"Accept": AGGREGATED})

    assert (group.json["kind"], version.json["kind"]) == ("APIGroup", "APIResourceList")


async def test_custom_resources(rest: Rest) -> None:
    """A definition's entry, whole."""
    group_version = await rest.custom_resource()
    group, _, version = group_version.partition("/")
    kind = {"group": group, "version": version, "kind": "Widget"}
    status = {"subresource": "status", "responseKind": kind, "verbs": ["get", "patch", "update"]}
    entry = {
        "resource": "widgets",
        "responseKind": kind,
        "scope": "Namespaced",
        "singularResource": "widget",
        "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
        "shortNames": ["wd"],
        "subresources": [status],
    }
    versions = [{"version": version, "resources": [entry], "freshness": "Current"}]
    document = (await rest.request("GET", "/apis", headers={"Accept": AGGREGATED})).json

    assert {"metadata": {"name": group}, "versions": versions} in document["items"]


async def entries(server: APIServer) -> tuple[list[str], dict[tuple[str, str, str], dict[str, Any]]]:
    """Return the groups in their order, and each entry by group, version and plural."""
    async with Rest.connect(server) as rest:
        answers = [await rest.request("GET", path, headers={"Accept": AGGREGATED}) for path in ("/api", "/apis")]
    groups = [group for answer in answers for group in answer.json["items"]]
    found = {
        (group["metadata"].get("name", ""), version["version"], entry["resource"]): entry
        for group in groups
        for version in group["versions"]
        for entry in version["resources"]
    }
    return [group["metadata"].get("name", "") for group in groups], found


@pytest.mark.realserver
async def test_the_embedded_server_describes_its_resources_as_the_real_one_does(real_server: APIServer) -> None:
    """Field by field and in the same order, for all that it serves; of subresources it has status and scale."""
    real_groups, real = await entries(real_server)
    async with FakeAPIServer() as server:
        fake_groups, fake = await entries(server)

    assert set(fake) == {tuple(resource.gvr) for resource in DEFAULT_RESOURCES}
    assert fake_groups == [group for group in real_groups if group in fake_groups]
    for name, entry in fake.items():
        expected = dict(real[name])
        theirs = expected.pop("subresources", ())
        subresources = [each for each in theirs if each["subresource"] in ("status", "scale")]
        if subresources:
            expected["subresources"] = subresources
        assert entry == expected, name
        assert list(entry) == list(expected), name


async def test_the_separate_documents_agree_with_it(api_server: APIServer) -> None:
    """The documents for older clients name the same resources with the same verbs, short names and categories."""
    _, aggregated = await entries(api_server)
    async with Rest.connect(api_server) as rest:
        for group, version in {name[:2] for name in aggregated}:
            path = f"/apis/{group}/{version}" if group else f"/api/{version}"
            listed = [each for each in (await rest.get(path)).json["resources"] if "/" not in each["name"]]
            assert {each["name"] for each in listed} == {name[2] for name in aggregated if name[:2] == (group, version)}
            for each in listed:
                entry = aggregated[group, version, each["name"]]
                assert each["kind"] == entry["responseKind"]["kind"]
                assert each["namespaced"] is (entry["scope"] == "Namespaced")
                assert each["singularName"] == entry["singularResource"]
                for field in ("verbs", "shortNames", "categories"):
                    assert each.get(field) == entry.get(field), (field, each["name"])
