"""From a method and a path to what is meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.testing.apiserver.routing import RequestInfo, Target, parse_target
from aioinformers.types import GroupVersionResource

PODS = GroupVersionResource("", "v1", "pods")
NAMESPACES = GroupVersionResource("", "v1", "namespaces")
DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")
words = st.from_regex(r"[a-z][a-z0-9-]{0,5}", fullmatch=True)


def asked(method: str, path: str, **query: str) -> RequestInfo:
    return RequestInfo(method=method, path=path, query=query, headers={}, time=0.0, target=parse_target(path))


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/pods", Target(PODS)),
        ("/api/v1/namespaces/a/pods", Target(PODS, "a")),
        ("/api/v1/namespaces/a/pods/p", Target(PODS, "a", "p")),
        ("/api/v1/namespaces/a/pods/p/status", Target(PODS, "a", "p", "status")),
        ("/api/v1/namespaces/a/pods/p/proxy/x", Target(PODS, "a", "p", "proxy/x")),
        ("/api/v1/namespaces", Target(NAMESPACES)),
        ("/api/v1/namespaces/a", Target(NAMESPACES, "", "a")),
        ("/api/v1/namespaces/a/status", Target(NAMESPACES, "", "a", "status")),
        ("/api/v1/namespaces/a/finalize", Target(NAMESPACES, "", "a", "finalize")),
        ("/apis/apps/v1/deployments", Target(DEPLOYMENTS)),
        ("/apis/apps/v1/namespaces/a/deployments/d", Target(DEPLOYMENTS, "a", "d")),
        ("/apis/apps/v1/namespaces/a/status/d", Target(GroupVersionResource("apps", "v1", "status"), "a", "d")),
        ("/api/v1", Target(GroupVersionResource("", "v1", ""))),
        ("/apis/apps/v1/", Target(GroupVersionResource("apps", "v1", ""))),
    ],
)
def test_a_path_names_resource_namespace_object_and_subresource(path: str, target: Target) -> None:
    assert parse_target(path) == target


@pytest.mark.parametrize("path", ["/", "", "/api", "/apis", "/apis/apps", "/version", "/openapi/v3/apis/apps/v1"])
def test_other_paths_name_nothing(path: str) -> None:
    assert parse_target(path) is None


@given(group=st.just("") | words, namespace=st.just("") | words, name=words)
def test_what_a_path_is_made_of_is_read_from_it(group: str, namespace: str, name: str) -> None:
    gvr = GroupVersionResource(group, "v1", "things")
    place = f"/namespaces/{namespace}" if namespace else ""
    assert parse_target(f"{gvr.path}{place}/things/{name}") == Target(gvr, namespace, name)


@pytest.mark.parametrize(
    ("method", "path", "query", "verb"),
    [
        ("GET", "/api/v1/pods", {}, "list"),
        ("GET", "/api/v1/pods", {"watch": "true"}, "watch"),
        ("GET", "/api/v1/pods", {"watch": "1"}, "watch"),
        ("GET", "/api/v1/pods", {"watch": "false"}, "list"),
        ("GET", "/api/v1/namespaces/a/pods/p", {"watch": "true"}, "get"),
        ("POST", "/api/v1/namespaces/a/pods", {}, "create"),
        ("PUT", "/api/v1/namespaces/a/pods/p", {}, "update"),
        ("PATCH", "/api/v1/namespaces/a/pods/p", {}, "patch"),
        ("DELETE", "/api/v1/namespaces/a/pods/p", {}, "delete"),
        ("DELETE", "/api/v1/namespaces/a/pods", {}, "deletecollection"),
        ("HEAD", "/api/v1/pods", {}, ""),
        ("GET", "/api/v1", {}, ""),
        ("GET", "/version", {}, ""),
    ],
)
def test_a_request_has_the_verb_that_rbac_knows_it_by(method: str, path: str, query: dict[str, str], verb: str) -> None:
    assert asked(method, path, **query).verb == verb


def test_a_request_names_its_resource_where_there_is_one() -> None:
    assert asked("GET", "/api/v1/namespaces/a/pods/p").resource == "pods"
    assert asked("GET", "/version").resource == ""
    assert asked("GET", "/api/v1").resource == ""
