"""Informers without a factory know what they hold."""

from __future__ import annotations

from typing import Any, assert_type

import msgspec
from kubernetes_asyncio import client

from aioinformers import GroupVersionResource, SharedInformer, new_informer


class Name(msgspec.Struct, frozen=True):
    """A type of the user's."""

    name: str


def what_tells_the_type(api: client.ApiClient) -> None:
    """A model class gives its objects, a resource dicts."""
    assert_type(new_informer(api, client.V1Pod), SharedInformer[client.V1Pod])
    assert_type(new_informer(api, client.V1Pod, namespace="prod", resync_period=60), SharedInformer[client.V1Pod])
    assert_type(new_informer(api, client.V1Pod, compact=True), SharedInformer[client.V1Pod])
    assert_type(new_informer(api, "widgets.v1.example.com", compact=True), SharedInformer[dict[str, Any]])
    assert_type(new_informer(api, "widgets.v1.example.com"), SharedInformer[dict[str, Any]])
    assert_type(new_informer(api, GroupVersionResource("apps", "v1", "deployments")), SharedInformer[dict[str, Any]])


def unless_an_object_type_is_given(api: client.ApiClient) -> None:
    """``object_type`` decides."""
    assert_type(new_informer(api, client.V1Pod, object_type=Name), SharedInformer[Name])
    assert_type(new_informer(api, client.V1Pod, object_type=dict), SharedInformer[dict[str, Any]])
    assert_type(new_informer(api, "widgets.v1.example.com", object_type=Name), SharedInformer[Name])
    assert_type(new_informer(api, "pods.v1.", object_type=client.V1Pod), SharedInformer[client.V1Pod])


def options_are_checked(api: client.ApiClient) -> None:
    """Names and types of options are known."""
    new_informer(api, client.V1Pod, lable_selector="a=b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    new_informer(api, "pods.v1.", indexer={})  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    new_informer(api, "pods.v1.", compact=1.5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
