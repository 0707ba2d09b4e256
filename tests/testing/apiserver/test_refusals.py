"""What the embedded server does not do, it refuses by name instead of doing something else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers.testing import FakeAPIServer
from aioinformers.testing.apiserver.refusals import check_dry_run, check_formats, read_patch
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resources
from aioinformers.testing.apiserver.status import StatusError

PODS = Resources(DEFAULT_RESOURCES).resolve("pods")
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}


@pytest.mark.parametrize(
    ("query", "options"), [({"dryRun": "All"}, None), ({"dryRun": ""}, None), ({}, {"dryRun": ["All"]})]
)
def test_dry_runs_are_refused_wherever_they_are_asked_for(
    query: dict[str, str], options: dict[str, Any] | None
) -> None:
    with pytest.raises(StatusError, match="400 BadRequest: the embedded server does not support dryRun, and nothing"):
        check_dry_run(query, options)
    check_dry_run({"limit": "1"}, {"preconditions": {}})


async def test_no_write_by_way_of_trial_is_written(fake_server: FakeAPIServer) -> None:
    """Each verb, as clients send it."""
    fake_server.create("configmaps", {"metadata": {"name": "c"}})
    before = fake_server.resource_version
    async with fake_server.api_client() as api:
        core, meta = client.CoreV1Api(api), client.V1ObjectMeta()
        for write in (
            core.create_namespaced_config_map("default", client.V1ConfigMap(metadata=meta), dry_run="All"),
            core.replace_namespaced_config_map("c", "default", client.V1ConfigMap(metadata=meta), dry_run="All"),
            core.patch_namespaced_config_map("c", "default", {"data": {"k": "v"}}, dry_run="All"),
            core.delete_namespaced_config_map("c", "default", dry_run="All"),
            core.delete_namespaced_config_map("c", "default", body=client.V1DeleteOptions(dry_run=["All"])),
            core.delete_collection_namespaced_config_map("default", dry_run="All"),
            core.delete_collection_namespaced_config_map("default", body=client.V1DeleteOptions(dry_run=["All"])),
        ):
            with pytest.raises(client.ApiException) as caught:
                await write
            assert caught.value.status == 400
            assert "does not support dryRun" in json.loads(caught.value.body or b"")["message"]
    assert fake_server.resource_version == before


@pytest.mark.parametrize(
    ("patch", "place"),
    [
        ({"spec": {"containers": [{"name": "b", "image": "2"}]}}, "spec.containers"),
        ({"metadata": {"finalizers": []}}, "metadata.finalizers"),
        ({"spec": {"$retainKeys": ["x"]}}, r"spec\.\$retainKeys"),
        ({"spec": {"strategy": {"$patch": "replace"}}}, r"spec\.strategy\.\$patch"),
        (
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"]}},
            r"metadata\.\$deleteFromPrimitiveList/finalizers",
        ),
        ({"$setElementOrder/containers": [{"name": "a"}]}, r"\$setElementOrder/containers"),
    ],
)
def test_strategic_merge_patches_that_depend_on_the_schema_are_refused(patch: dict[str, Any], place: str) -> None:
    with pytest.raises(
        StatusError, match=rf"does not support strategic merge patches .* such as {place}: send a"
    ) as caught:
        read_patch(PODS, STRATEGIC, json.dumps(patch).encode())
    assert caught.value.code == 415
    assert read_patch(PODS, MERGE, json.dumps(patch).encode()) == patch


def test_patches_without_lists_are_the_same_in_both_formats() -> None:
    patch = {"metadata": {"labels": {"a": None, "b": "c"}}, "spec": {"nodeName": "n", "replicas": 3}}
    for media_type in (MERGE, STRATEGIC, f"{MERGE}; charset=utf-8"):
        assert read_patch(PODS, media_type, json.dumps(patch).encode()) == patch


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("application/json-patch+json", r"JSON patches \(application/json-patch\+json\)"),
        ("application/apply-patch+yaml", r"server-side apply \(application/apply-patch\+yaml\)"),
        ("application/apply-patch+cbor", "server-side apply"),
        ("application/json", "415: Unsupported Media Type"),
    ],
)
def test_other_formats_are_refused_by_their_name(media_type: str, name: str) -> None:
    with pytest.raises(StatusError, match=name) as caught:
        read_patch(PODS, media_type, b"[]")
    assert (caught.value.code, caught.value.reason) == (415, "UnsupportedMediaType")


async def test_no_container_is_lost_by_the_default_patch_of_the_client(fake_server: FakeAPIServer) -> None:
    fake_server.create("pods", POD)
    patch = {"spec": {"containers": [{"name": "b", "image": "2"}]}}
    async with fake_server.api_client() as api:
        core = client.CoreV1Api(api)
        with pytest.raises(client.ApiException, match=r"\(415\)"):
            await core.patch_namespaced_pod("p", "default", patch)
        assert len(fake_server.get("pods", "p")["spec"]["containers"]) == 2
        as_the_message_says: dict[str, Any] = {"_content_type": MERGE}
        await core.patch_namespaced_pod("p", "default", patch, **as_the_message_says)
        assert fake_server.get("pods", "p")["spec"]["containers"] == [{"name": "b", "image": "2"}]


async def test_subresources_that_are_missing_are_named(fake_server: FakeAPIServer) -> None:
    fake_server.create("deployments", {"metadata": {"name": "d"}})
    async with fake_server.api_client() as api:
        with pytest.raises(client.ApiException) as caught:
            await client.AppsV1Api(api).read_namespaced_deployment_scale("d", "default")
    assert caught.value.status == 404
    message = json.loads(caught.value.body or b"")["message"]
    assert "the embedded server has no subresource 'scale' of deployments.apps" in message


@pytest.mark.parametrize(
    "accept",
    [
        "", "*/*", "application/json", "application/json;stream=watch", "application/json;q=0.9,text/html",
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
        "application/vnd.kubernetes.protobuf, application/json",
    ],
)  # fmt: skip
def test_whole_objects_in_json_are_good_enough_for_most(accept: str) -> None:
    check_formats({"accept": accept, "content-type": "application/json; charset=utf-8"})
    check_formats({})


@pytest.mark.parametrize(
    ("headers", "code", "words"),
    [
        ({"accept": "application/vnd.kubernetes.protobuf"}, 406, "in JSON only, not with application/vnd.kubernetes"),
        ({"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}, 406, "accept application/json as well"),
        ({"content-type": "application/yaml"}, 415, "reads JSON only, not application/yaml"),
        ({"content-type": "application/vnd.kubernetes.protobuf"}, 415, "reads JSON only"),
    ],
)
def test_other_formats_of_objects_are_refused(headers: dict[str, str], code: int, words: str) -> None:
    with pytest.raises(StatusError, match=words) as caught:
        check_formats(headers)
    assert caught.value.code == code
