"""Resources as users name them, rightly and almost."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, SharedInformerFactory, new_informer
from aioinformers.naming import plural_of, resource_of
from aioinformers.testing import FakeAPIServer
from tests.kit import Recorder, factory_on

PODS = GroupVersionResource("", "v1", "pods")
DEPLOYMENTS = GroupVersionResource("apps", "v1", "deployments")
STABLE = GroupVersionResource("example.com", "stable", "widgets")
WIDGETS = GroupVersionResource("example.com", "v1", "widgets")


@pytest.mark.parametrize(
    ("what", "resource"),
    [
        (PODS, PODS),
        ("pods.v1.", PODS),
        ("pods.v1", PODS),
        (client.V1Pod, PODS),
        ("deployments.v1.apps", DEPLOYMENTS),
        ("widgets.v1.example.com", WIDGETS),
        (STABLE, STABLE),
        ("newkinds.v1.apps", GroupVersionResource("apps", "v1", "newkinds")),
        ("pods.v9.", GroupVersionResource("", "v9", "pods")),
        ("things.v1.metrics.k8s.io", GroupVersionResource("metrics.k8s.io", "v1", "things")),
    ],
)  # fmt: skip
def test_a_resource_is_named_by_itself_its_text_or_its_model(what: Any, resource: GroupVersionResource) -> None:
    """One that no catalogue knows may be newer than the catalogue."""
    assert resource_of(what) == resource


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (
        "pods",
        ValueError,
        "'pods' does not name a resource: did you mean 'pods.v1.'? It is written plural.version.group",
    ),
    ("pod", ValueError, "'pod' does not name a resource: did you mean 'pods.v1.'?"),
    ("Deployment", ValueError, "did you mean 'deployments.v1.apps'?"),
    ("deployments.apps", ValueError, "did you mean 'deployments.v1.apps'?"),
    ("apps/v1/deployments", ValueError, "did you mean 'deployments.v1.apps'?"),
    ("v1/pods", ValueError, "did you mean 'pods.v1.'?"),
    ("pods/v1", ValueError, "did you mean 'pods.v1.'?"),
    ("widgets", ValueError, "'widgets' does not name a resource: write plural.version.group"),
    ("", ValueError, "'' does not name a resource"),
    ("pods.v1.core", ValueError, "'pods.v1.core' names no resource: the name of the core group is empty: pods.v1."),
    ("Widget.v1.example.com", ValueError, "by its plural, in lower case: did you mean 'widgets'?"),
    ("pod.v1.", ValueError, "a resource is called by its plural: did you mean 'pods.v1.'?"),
    ("Deployment.v1.apps", ValueError, "did you mean 'deployments.v1.apps'?"),
    ("deployment.v1beta7.apps", ValueError, "did you mean 'deployments.v1beta7.apps'?"),
    ("deployments.v1.app", ValueError, "there is no such group: did you mean 'deployments.v1.apps'?"),
    (
        GroupVersionResource("apps", "deployments", "v1"),
        ValueError,
        "did you mean GroupVersionResource('apps', 'v1', 'deployments')?",
    ),
    (GroupVersionResource("v1", "apps", "deployments"), ValueError, "('apps', 'v1', 'deployments')?"),
    (GroupVersionResource("apps/v1", "v1", "deployments"), ValueError, "'apps/v1' is an apiVersion"),
    (GroupVersionResource("apps", "apps/v1", "deployments"), ValueError, "'apps/v1' is an apiVersion"),
    (GroupVersionResource("apps", "v1", ""), ValueError, "version and plural cannot be empty"),
    (GroupVersionResource("apps", None, "deployments"), TypeError, "takes texts, not None"),  # type: ignore[arg-type]
    (("apps", "v1", "deployments"), TypeError, "write GroupVersionResource('apps', 'v1', 'deployments')"),
    (("v1", "pods"), TypeError, "('v1', 'pods') is neither"),
    (client.V1Pod(), TypeError, "give the class V1Pod, not one of its objects"),
    (client.V1PodSpec, ValueError, "V1PodSpec is no model of a known kind"),
    (None, TypeError, "None is neither"),
    (b"pods.v1.", TypeError, "b'pods.v1.' is neither"),
]


@pytest.mark.parametrize(("what", "error", "words"), REFUSED)
def test_what_names_no_resource_is_refused_with_what_was_meant(what: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        resource_of(what)
    assert words in str(caught.value)
    assert "_" not in str(caught.value).replace("for_resource", "").replace("object_type", ""), "nothing private"


@pytest.mark.virtual_time
async def test_every_entry_refuses_them_alike() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        api = factory.api_client
        for what, error, words in REFUSED:
            entries = [
                lambda what=what: new_informer(api, what),
                lambda what=what: factory.add_event_handler(what, Recorder()),
                lambda what=what: factory.on_add(what),
                lambda what=what: SharedInformerFactory(api, custom_resync={what: 5.0}),
            ]
            if not isinstance(what, type):
                entries.append(lambda what=what: factory.for_resource(what))
            for entry in entries:
                with pytest.raises(error) as caught:
                    entry()  # type: ignore[no-untyped-call]
                assert words in str(caught.value) or "unhashable" in str(caught.value)
        with pytest.raises(TypeError, match=r"for a model class write informer_for\(V1Pod\)"):
            factory.for_resource(client.V1Pod)  # type: ignore[call-overload]
        with pytest.raises(
            TypeError, match=r"a model is a class such as V1Pod, not 'pods.v1.': resources go to for_res"
        ):
            factory.informer_for("pods.v1.")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="give the class V1Pod"):
            factory.informer_for(client.V1Pod())  # type: ignore[arg-type]
        assert not list(factory)


@pytest.mark.virtual_time
async def test_an_accessor_that_was_not_called_says_so() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        pods: Any = factory.core.v1.pods
        with pytest.raises(AttributeError) as caught:
            _ = pods.lister
        assert (
            str(caught.value) == "<Accessor pods.v1> is no informer before it is called: factory.core.v1.pods().lister"
        )
        with pytest.raises(
            AttributeError, match=r"has no attribute 'listers': factory.core.v1.pods\(\) is the informer"
        ):
            _ = pods.listers
        with pytest.raises(TypeError, match=r"<Accessor pods.v1> is to be called: factory.core.v1.pods\(\)"):
            factory.add_event_handler(pods, Recorder())
        with pytest.raises(AttributeError):
            pods._repr_html_()


ATTRIBUTES = [
    ("pods", "the factory has no 'pods': write factory.core.v1.pods()"),
    ("deployment", "the factory has no 'deployment': write factory.apps.v1.deployments()"),
    ("app", "the factory has no 'app': did you mean 'apps'?"),
    ("wait_for_sync", "did you mean 'wait_for_cache_sync'?"),
    ("informer_of", "did you mean 'informer_for'?"),
    ("zzz", "the factory has no 'zzz': its groups are admissionregistration, "),
    ("apps.deployments", "the group apps has no 'deployments': write factory.apps.v1.deployments()"),
    ("apps.v2", "the group apps has no 'v2': its versions are v1, v1beta2, v1beta1"),
    ("core.v1.pod", "core/v1 has no 'pod': did you mean pods()?"),
    ("core.v1.config_maps", "core/v1 has no 'config_maps': did you mean configmaps()?"),
    ("apps.v1.zzz", "apps/v1 has no 'zzz': there are controllerrevisions, daemonsets, "),
]


@pytest.mark.virtual_time
async def test_attributes_that_do_not_exist_say_which_do() -> None:
    async with FakeAPIServer() as server, factory_on(server) as factory:
        for path, words in ATTRIBUTES:
            owner: Any = factory
            *before, last = path.split(".")
            for name in before:
                owner = getattr(owner, name)
            with pytest.raises(AttributeError) as caught:
                getattr(owner, last)
            assert words in str(caught.value)
            assert "'_" not in str(caught.value)
            assert not hasattr(owner, "__wrapped__")


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("Widget", "widgets"), ("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies"), ("Gateway", "gateways"),
        ("Mesh", "meshes"), ("Box", "boxes"),
    ],
)  # fmt: skip
def test_the_usual_plural(kind: str, plural: str) -> None:
    assert plural_of(kind) == plural
