"""Values that cross a boundary."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.delivery.events import Added, Deleted, Updated
from aioinformers.types import (
    ALL_NAMESPACES,
    EVERYTHING,
    AllNamespaces,
    Cause,
    GroupVersionResource,
    ListOptions,
    ObjectKey,
    WatchFailure,
)

DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")
PODS = GroupVersionResource("", "v1", "pods")


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("deployments.v1.apps", DEPLOYMENTS),
        ("pods.v1.", PODS),
        ("pods.v1", PODS),
        ("widgets.v1alpha1.example.com", GroupVersionResource("example.com", "v1alpha1", "widgets")),
        ("things.v2beta3.a.b-c.io", GroupVersionResource("a.b-c.io", "v2beta3", "things")),
    ],
)
def test_a_resource_is_parsed(text: str, resource: GroupVersionResource) -> None:
    assert GroupVersionResource.parse(text) == resource


@pytest.mark.parametrize(
    "text",
    ["", ".", "pods", "pods.", ".v1.", ".v1.apps", "deployments.apps", "deployments.apps/v1", "apps/v1/deployments",
     "pods.1", "pods.v", "pods.V1", "pods.va1", "pods.v1-", "pods..v1", " pods.v1-x"],
)  # fmt: skip
def test_what_names_no_resource_is_refused(text: str) -> None:
    """With an example of what does."""
    with pytest.raises(ValueError, match=r"does not name a resource: write plural\.version\.group") as caught:
        GroupVersionResource.parse(text)
    assert repr(text) in str(caught.value)


words = st.from_regex(r"[a-z][a-z0-9-]{0,5}", fullmatch=True)


@given(
    group=st.just("") | st.lists(words, min_size=1, max_size=3).map(".".join), resource=words, version=st.integers(1, 9)
)
def test_the_text_of_a_resource_names_it(group: str, resource: str, version: int) -> None:
    found = GroupVersionResource(group, f"v{version}", resource)
    assert GroupVersionResource.parse(str(found)) == found


@given(st.text(max_size=12))
def test_any_text_names_a_resource_or_is_refused(text: str) -> None:
    """With nothing but a ValueError."""
    try:
        found = GroupVersionResource.parse(text)
    except ValueError:
        return
    assert found.resource
    assert found.version.startswith("v")


def test_a_resource_knows_its_place_on_the_server() -> None:
    assert (DEPLOYMENTS.api_version, DEPLOYMENTS.path, str(DEPLOYMENTS)) == (
        "apps/v1", "/apis/apps/v1", "deployments.v1.apps",
    )  # fmt: skip
    assert (PODS.api_version, PODS.path, str(PODS)) == ("v1", "/api/v1", "pods.v1")


@pytest.mark.parametrize(
    ("text", "key"),
    [("prod/web", ObjectKey("prod", "web")), ("node-1", ObjectKey("", "node-1")), ("a/b/c", ObjectKey("a", "b/c"))],
)
def test_a_key_and_its_text(text: str, key: ObjectKey) -> None:
    assert ObjectKey.parse(text) == key
    assert str(key) == text


def test_keys_are_tuples() -> None:
    """Plain ones are equal to them, in mappings too."""
    assert ObjectKey("prod", "web") == ("prod", "web")
    assert {("prod", "web"): 1}[ObjectKey("prod", "web")] == 1


def test_all_namespaces_is_one_value() -> None:
    """However it is copied; it is no text, so no namespace can be it."""
    assert pickle.loads(pickle.dumps(ALL_NAMESPACES)) is copy.deepcopy(ALL_NAMESPACES) is ALL_NAMESPACES
    assert isinstance(ALL_NAMESPACES, AllNamespaces)
    assert not isinstance(ALL_NAMESPACES, str)


@pytest.mark.parametrize("event", [Added({"a": 1}), Updated({"a": 1}, {"a": 2}), Deleted({"a": 1}, False)])
def test_events_that_users_make_are_values(event: Any) -> None:
    """For the tests of their handlers: equal by content, frozen, picklable."""
    assert event == copy.copy(event) == pickle.loads(pickle.dumps(event))
    assert event.cause is Cause.WATCH
    with pytest.raises(AttributeError):
        event.object = None


def test_list_options_become_query_parameters() -> None:
    options = ListOptions(
        "app=web", "spec.nodeName=n1", "shardRange(object.metadata.uid, '0x0', '0x1')", {"pretty": "no"}
    )
    assert options.query() == {
        "labelSelector": "app=web",
        "fieldSelector": "spec.nodeName=n1",
        "shardSelector": "shardRange(object.metadata.uid, '0x0', '0x1')",
        "pretty": "no",
    }
    assert ListOptions().query() == ListOptions(label_selector="", extra={}).query() == {}


@pytest.mark.parametrize(
    "name",
    ["allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
     "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch"],
)  # fmt: skip
def test_parameters_of_the_reflector_are_reserved(name: str) -> None:
    """They cannot be changed behind its back."""
    with pytest.raises(ValueError, match=f"list options: {name} cannot be set through `extra`"):
        ListOptions(extra={"fine": "1", name: "1"}).query()


def test_all_reserved_parameters_are_named_at_once() -> None:
    with pytest.raises(ValueError, match="limit, watch cannot be set"):
        ListOptions(extra={"watch": "1", "limit": "1"}).query()


def test_list_options_are_changed_in_place_by_known_fields_only() -> None:
    """A misspelt field is an error, not an ignored wish."""
    options = ListOptions()
    options.label_selector = "a=b"
    assert options.query() == {"labelSelector": "a=b"}
    with pytest.raises(AttributeError):
        options.labelSelector = "a=b"  # type: ignore[attr-defined]


def test_a_failure_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        WatchFailure(PODS, EVERYTHING, ValueError("x"), 1, 0.8).attempt = 2  # type: ignore[misc]
