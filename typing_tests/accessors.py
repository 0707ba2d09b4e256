"""Accessors know what their informers hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

import msgspec
from kubernetes_asyncio import client

from aioinformers import ALL_NAMESPACES, GroupVersionResource, SharedInformer, SharedInformerFactory
from aioinformers.resources import Accessor
from aioinformers.resources.apps import Apps, AppsV1


class Name(msgspec.Struct, frozen=True):
    """A type of the user's."""

    name: str


@dataclass(frozen=True)
class Node:
    """Another one."""

    metadata: Name


def groups_versions_and_kinds(factory: SharedInformerFactory) -> None:
    """Groups, versions and kinds are plain attributes."""
    assert_type(factory.apps, Apps)
    assert_type(factory.apps.v1, AppsV1)
    assert_type(factory.apps.v1.deployments, Accessor[client.V1Deployment])
    assert_type(factory.apps.v1.deployments(), SharedInformer[client.V1Deployment])
    assert_type(factory.core.v1.pods(), SharedInformer[client.V1Pod])
    assert_type(factory.core.v1.nodes(), SharedInformer[client.V1Node])


def kinds_of_one_name_are_told_apart(factory: SharedInformerFactory) -> None:
    """Each group and version has its own model."""
    assert_type(factory.core.v1.events(), SharedInformer[client.CoreV1Event])
    assert_type(factory.events.v1.events(), SharedInformer[client.EventsV1Event])
    assert_type(factory.autoscaling.v1.horizontalpodautoscalers(), SharedInformer[client.V1HorizontalPodAutoscaler])
    assert_type(factory.autoscaling.v2.horizontalpodautoscalers(), SharedInformer[client.V2HorizontalPodAutoscaler])
    assert_type(factory.resource.v1.resourceclaims(), SharedInformer[client.ResourceV1ResourceClaim])
    assert_type(factory.resource.v1beta2.resourceclaims(), SharedInformer[client.V1beta2ResourceClaim])


def kinds_without_a_model_are_dicts(factory: SharedInformerFactory) -> None:
    """What the client does not know comes as dicts, unless a model is asked for."""
    assert_type(factory.auditregistration.v1alpha1.auditsinks(), SharedInformer[dict[str, Any]])
    assert_type(factory.extensions.v1beta1.ingresses(), SharedInformer[dict[str, Any]])
    assert_type(factory.settings.v1alpha1.podpresets(namespace="prod"), SharedInformer[dict[str, Any]])
    assert_type(factory.extensions.v1beta1.ingresses(object_type=client.V1Ingress), SharedInformer[client.V1Ingress])


def another_object_type_may_be_asked_for(factory: SharedInformerFactory) -> None:
    """``object_type`` decides."""
    assert_type(factory.core.v1.pods(object_type=None), SharedInformer[client.V1Pod])
    assert_type(factory.core.v1.pods(object_type=dict), SharedInformer[dict[str, Any]])
    assert_type(factory.core.v1.pods(object_type=dict[str, Any]), SharedInformer[dict[str, Any]])
    assert_type(factory.core.v1.pods(object_type=Name), SharedInformer[Name])
    assert_type(factory.core.v1.nodes(object_type=Node, label_selector="a=b"), SharedInformer[Node])


def what_is_seen_does_not_depend_on_how_it_is_kept(factory: SharedInformerFactory) -> None:
    """``compact`` changes no type."""
    assert_type(factory.core.v1.pods(compact=True), SharedInformer[client.V1Pod])
    assert_type(factory.core.v1.pods(compact=True, object_type=dict), SharedInformer[dict[str, Any]])
    assert_type(factory.core.v1.pods(compact=True, object_type=Name), SharedInformer[Name])
    assert_type(factory.core.v1.pods().is_compact, bool)


def options_are_checked(factory: SharedInformerFactory) -> None:
    """Names and types of options are known; so are misspelt kinds."""
    assert_type(
        factory.core.v1.pods(
            namespace=["a", "b"],
            label_selector="app=web",
            field_selector="status.phase=Running",
            resync_period=60,
            indexers={"node": "spec.nodeName", "app": lambda pod: [pod.metadata.labels["app"]]},
            transform=lambda pod: pod,
            shared_objects=True,
            compact=False,
            optional=True,
        ),
        SharedInformer[client.V1Pod],
    )
    factory.core.v1.pods(namespace=ALL_NAMESPACES)
    factory.core.v1.pods(namespace=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    factory.core.v1.pods(compact="yes")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    factory.core.v1.pods(selector="a=b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    factory.core.v1.pods(lable_selector="a=b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    factory.core.v1.pods(indexer={})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    factory.for_resource("pods.v1.", lable_selector="a=b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    factory.for_resource("pods.v1.", namespace=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    factory.informer_for(client.V1Pod, indexer={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    factory.core.v1.pods("prod")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    _ = factory.core.v1.pod  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = factory.core.v2  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = factory.app  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def other_ways_to_an_informer(factory: SharedInformerFactory) -> None:
    """Resources give dicts by default, model classes themselves."""
    widgets = GroupVersionResource("example.com", "v1", "widgets")
    assert_type(factory.for_resource(widgets), SharedInformer[dict[str, Any]])
    assert_type(factory.for_resource("deployments.v1.apps", namespace="prod"), SharedInformer[dict[str, Any]])
    assert_type(factory.for_resource(widgets, object_type=Name), SharedInformer[Name])
    assert_type(factory.for_resource(widgets, object_type=dict), SharedInformer[dict[str, Any]])
    assert_type(
        factory.for_resource("deployments.v1.apps", object_type=client.V1Deployment),
        SharedInformer[client.V1Deployment],
    )
    assert_type(factory.informer_for(client.V1Job), SharedInformer[client.V1Job])
    assert_type(factory.informer_for(client.V1Job, label_selector="a=b"), SharedInformer[client.V1Job])
    assert_type(factory.add(factory.core.v1.pods()), SharedInformer[client.V1Pod])
