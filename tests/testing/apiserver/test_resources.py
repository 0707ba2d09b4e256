"""What the embedded server serves."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, Resources, ScalePaths, resource_of_crd
from aioinformers.types import GroupVersionResource
from tests.testing.apiserver.contents import WIDGETS


def test_resources_are_found_by_any_name() -> None:
    """GVR, dotted name, plural, short name; doubt is an error."""
    resources = Resources((*DEFAULT_RESOURCES, WIDGETS))
    deployments = resources.resolve("deployments")

    assert resources.resolve("deploy") is deployments
    assert resources.resolve("deployments.v1.apps") is deployments
    assert resources.resolve(deployments.gvr) is deployments
    with pytest.raises(LookupError, match="no resource is served as 'nonsense'"):
        resources.resolve("nonsense")
    other = Resource(gvr=GroupVersionResource("other.example.com", "v1", "widgets"), kind="Widget")
    resources.add(other)
    with pytest.raises(LookupError, match="more than one resource is served as 'widgets'"):
        resources.resolve("widgets")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("pods", ("Pod", True, ("po",), True, True)),
        ("nodes", ("Node", False, ("no",), True, False)),
        ("secrets", ("Secret", True, (), False, False)),
        ("deploy", ("Deployment", True, ("deploy",), True, True)),
        ("clusterroles", ("ClusterRole", False, (), False, False)),
    ],
)
def test_the_table_of_resources_is_read_as_it_is_written(name: str, facts: tuple[object, ...]) -> None:
    found = Resources(DEFAULT_RESOURCES).resolve(name)
    assert (found.kind, found.namespaced, found.short_names, found.status, found.generation) == facts
    assert not found.custom


def test_a_resource_is_named_in_messages_with_its_group_if_it_has_one() -> None:
    found = Resources(DEFAULT_RESOURCES)
    pods, deployments = found.resolve("pods"), found.resolve("deployments")
    assert (pods.singular, pods.group_resource, pods.group_kind) == ("pod", "pods", "Pod")
    assert (deployments.group_resource, deployments.group_kind) == ("deployments.apps", "Deployment.apps")


def test_a_definition_describes_its_storage_version() -> None:
    crd: dict[str, Any] = {
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]},
            "versions": [{"name": "v1beta1", "storage": False}, {"name": "v1", "storage": True}],
        }
    }
    found = resource_of_crd(crd)
    assert found.gvr == GroupVersionResource("example.com", "v1", "gadgets")
    assert (found.kind, found.namespaced, found.short_names, found.status) == ("Gadget", False, ("gd",), False)
    assert found.custom
    assert found.generation
    crd["spec"]["versions"][1]["subresources"] = {"status": {}}
    assert resource_of_crd(crd).status
    del crd["spec"]["group"]
    with pytest.raises(LookupError):
        resource_of_crd(crd)


def test_what_is_no_longer_served_is_not_found() -> None:
    found = Resources(DEFAULT_RESOURCES)
    pods = found.resolve("pods").gvr
    found.remove(pods)
    found.remove(pods)
    assert found.get(pods) is None
    with pytest.raises(LookupError, match="no resource is served as 'pods'"):
        found.resolve("pods")
    assert found.groups()["apps"] == ["v1"]


# -- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "deployments", "deployment", "Deployment", "deploy", "Deployment.apps", "deployments.apps",
        "deployments.v1.apps", "Deployment.v1.apps", "deploy.apps", client.V1Deployment,
        GroupVersionResource("apps", "v1", "deployments"),
    ],
)  # fmt: skip
def test_a_resource_has_many_names(name: Any) -> None:
    assert Resources(DEFAULT_RESOURCES).resolve(name).kind == "Deployment"


@pytest.mark.parametrize("name", ["pods", "Pod", "po", "pods.v1", "pods.v1.", "Pod.", client.V1Pod])
def test_the_core_group_has_no_name(name: Any) -> None:
    assert Resources(DEFAULT_RESOURCES).resolve(name).kind == "Pod"


def test_a_plural_comes_before_another_resources_short_name() -> None:
    gvr = GroupVersionResource("example.com", "v1", "pods")
    other = Resource(gvr=gvr._replace(resource="polls"), kind="Poll", short_names=("pods",))
    resources = Resources((*DEFAULT_RESOURCES, other))
    assert resources.resolve("pods").kind == "Pod"
    assert resources.resolve("polls").kind == "Poll"
    resources.add(Resource(gvr=gvr, kind="Pod"))
    with pytest.raises(LookupError, match=r"more than one .* 'Pod': write 'pods\.v1\.' or 'pods\.v1\.example\.com'"):
        resources.resolve("Pod")
    assert resources.resolve("Pod.example.com").gvr is gvr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pdos", "did you mean 'pods'?"),
        ("Deploiment", "did you mean 'deployment'?"),
        ("deployments.v2.apps", r"did you mean 'deployments\.v1\.apps'"),
        ("deployments.extensions", r"did you mean 'deployments\.v1\.apps'"),
        (client.V1CertificateSigningRequest, "'CertificateSigningRequest', namespaced=False, custom=False"),
        (client.V1ObjectMeta, "V1ObjectMeta is no model of a known kind: name its resource by its kind"),
        (GroupVersionResource("apps", "v2", "deployments"), r"'deployments\.v2\.apps': did you mean"),
        ("", "creating its CustomResourceDefinition"),
    ],
)
def test_what_is_not_served_is_told_with_what_comes_near(name: Any, words: str) -> None:
    with pytest.raises(LookupError, match=words):
        Resources(DEFAULT_RESOURCES).resolve(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (("apps", "v1", "deployments"), r"write GroupVersionResource\('apps', 'v1', 'deployments'\)"),
        (client.V1Pod(spec=None), "give the class V1Pod, not one of its objects"),
        (None, "a resource is named by its kind, plural or short name, such as 'pods', not by None"),
    ],
)
def test_what_names_no_resource_is_refused(name: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Resources(DEFAULT_RESOURCES).resolve(name)


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"gvr": "widgets.v1.example.com"}, TypeError, "must be a GroupVersionResource, not 'widgets"),
        ({"kind": None}, TypeError, "must be texts, not None"),
        ({"kind": ""}, ValueError, "needs a kind"),
        ({"short_names": "wd"}, TypeError, r"write \('wd',\)"),
        ({"short_names": (1,)}, TypeError, "must be texts, not 1"),
    ],
)
def test_a_resource_that_cannot_be_is_refused(fields: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Resource(**{"gvr": WIDGETS.gvr, "kind": "Widget", **fields})


def test_a_definition_says_which_fields_may_be_selected_by() -> None:
    version = {"name": "v1", "storage": True, "selectableFields": [{"jsonPath": ".spec.color"}]}
    names = {"plural": "gadgets", "kind": "Gadget"}
    made = resource_of_crd({"spec": {"group": "example.com", "names": names, "versions": [version]}})
    assert made.selectable == ("spec.color",)


def test_names_of_what_is_replaced_or_removed_are_forgotten() -> None:
    resources = Resources([WIDGETS])
    gadget = Resource(gvr=WIDGETS.gvr, kind="Gadget")
    resources.add(gadget)
    assert resources.resolve("widgets") is resources.resolve("Gadget") is gadget
    assert resources.called("widget") == []
    resources.remove(WIDGETS.gvr)
    resources.remove(WIDGETS.gvr)
    assert resources.called("widgets") == list(resources) == []


def test_a_definition_says_how_it_is_scaled_and_merged() -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object"}}}
    scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
    version = {"name": "v1", "subresources": {"scale": scale}, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "kind": "Widget"}
    made = resource_of_crd({"spec": {"group": "example.com", "names": names, "versions": [version]}})

    assert made.scale == ScalePaths(replicas=".spec.size", status_replicas=".status.size")
    assert made.schema == schema
    assert hash(made) == hash(Resource(gvr=made.gvr, kind="Widget", custom=True, generation=True, scale=made.scale))


def test_some_objects_are_created_by_a_put() -> None:
    found = Resources(DEFAULT_RESOURCES)
    upserted = {each.gvr.resource for each in DEFAULT_RESOURCES if each.upserts}

    assert {"leases", "events", "services", "roles"} < upserted
    assert not {"pods", "configmaps", "deployments"} & upserted
    assert not Resource(gvr=found.resolve("leases").gvr, kind="Lease", custom=True).upserts


def test_some_objects_are_never_written_blindly() -> None:
    guarded = {each.gvr.resource for each in DEFAULT_RESOURCES if each.guarded}

    assert {"leases", "poddisruptionbudgets", "customresourcedefinitions"} < guarded
    assert not {"pods", "configmaps", "deployments"} & guarded
    assert WIDGETS.guarded


def test_some_deletions_are_answered_with_the_object() -> None:
    returned = {each.gvr.resource for each in DEFAULT_RESOURCES if each.returned}

    assert {"pods", "services", "storageclasses"} < returned
    assert not {"configmaps", "deployments", "leases"} & returned
    assert not WIDGETS.returned
