"""Which requests a text means, and that one which would mean none is refused."""

from __future__ import annotations

import pytest

from aioinformers.testing.apiserver.matching import matcher
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resources
from aioinformers.testing.apiserver.routing import RequestInfo, parse_target
from tests.testing.apiserver.contents import WIDGETS

RESOURCES = Resources((*DEFAULT_RESOURCES, WIDGETS))


def request(method: str, path: str, **query: str) -> RequestInfo:
    return RequestInfo(method=method, path=path, query=query, headers={}, time=0, target=parse_target(path))


WATCH = request("GET", "/api/v1/namespaces/a/pods", watch="1")
STATUS = request("PATCH", "/apis/apps/v1/namespaces/a/deployments/d/status")
SPEC = request("PATCH", "/apis/apps/v1/namespaces/a/deployments/d")
OTHER = request("GET", "/apis/other.example.com/v1/pods", watch="1")
DISCOVERY = request("GET", "/apis")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("watch pods", [WATCH]),
        ("watch Pod", [WATCH]),
        ("watch po", [WATCH]),
        ("watch pods.v1.", [WATCH]),
        ("watch pods.v1.other.example.com", [OTHER]),
        ("watch *", [WATCH, OTHER]),
        ("* *", [WATCH, STATUS, SPEC, OTHER, DISCOVERY]),
        ("patch Deployment.apps", [STATUS, SPEC]),
        ("patch deploy", [STATUS, SPEC]),
        ("patch deployments.v1.apps/status", [STATUS]),
        ("* */status", [STATUS]),
        ("list widgets", []),
        ("list gadgets.v1.example.com", []),
    ],
)
def test_requests_are_matched_by_verb_and_any_name_of_the_resource(text: str, meant: list[RequestInfo]) -> None:
    matches = matcher(text, RESOURCES)
    assert [each for each in (WATCH, STATUS, SPEC, OTHER, DISCOVERY) if matches(each)] == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wach pods", "there is no verb 'wach' in 'wach pods': did you mean 'watch'?"),
        ("GET pods", "there is no verb 'GET'.*did you mean 'get'?"),
        ("post pods", "there is no verb 'post' in 'post pods': there are get, list, watch, create"),
        ("watch pdos", "no resource is served as 'pdos': did you mean 'pods'?"),
        ("list deployments.extensions", "did you mean 'deployments.v1.apps'?"),
        ("list certificatesigningrequests", r"server.add_resource\('certificatesigningrequests.v1.certificates"),
        ("list Gadget.v1.example.com", "'Gadget.v1.example.com': "),
        ("list quux", "creating its CustomResourceDefinition"),
        ("/api/v1/pods", "VERB RESOURCE"),
        ("list pods now", "VERB RESOURCE"),
    ],
)  # fmt: skip
def test_a_text_that_would_match_nothing_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        matcher(text, RESOURCES)
