"""The metadata that all Kubernetes objects have, as frozen-shaped Structs of their own."""

from __future__ import annotations

import datetime

import msgspec

__all__ = ["Metadata", "ObjectMeta", "OwnerReference"]


class OwnerReference(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An object that owns another one."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(msgspec.Struct, rename="camel", gc=False):
    """An object's metadata, without ``managedFields``; what is absent is empty."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    generate_name: str = ""
    creation_timestamp: datetime.datetime | None = None
    deletion_timestamp: datetime.datetime | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    owner_references: list[OwnerReference] = []


class Metadata(msgspec.Struct, rename="camel", gc=False):
    """An object of which only the metadata is wanted: ``object_type=Metadata`` makes the smallest informer.

    The server is asked for ``PartialObjectMetadata``, so that the rest of the object is not even sent. One that
    cannot do that sends whole objects, of which the metadata is kept.
    """

    metadata: ObjectMeta
    kind: str = ""
    api_version: str = ""
