"""What the embedded server does not do, it refuses by name instead of doing something else."""

from __future__ import annotations

import json

import pytest
from kubernetes_asyncio import client

from aioinformers.testing import FakeAPIServer
from aioinformers.testing.apiserver.refusals import check_formats
from aioinformers.testing.apiserver.status import StatusError


async def test_subresources_that_are_missing_are_named(fake_server: FakeAPIServer) -> None:
    fake_server.create("pods", {"metadata": {"name": "p"}})
    async with fake_server.api_client() as api:
        with pytest.raises(client.ApiException) as caught:
            await client.CoreV1Api(api).read_namespaced_pod_log("p", "default")
    assert caught.value.status == 404
    message = json.loads(caught.value.body or b"")["message"]
    assert "the embedded server has no subresource 'log' of pods" in message


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
