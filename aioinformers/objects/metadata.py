"""The metadata of Kubernetes objects as msgspec Structs."""

from __future__ import annotations

import datetime

import msgspec

__all__ = ["Metadata", "ObjectMeta", "OwnerReference"]


class OwnerReference(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A reference to the owner of an object, with the fields of the API's ``OwnerReference``."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(msgspec.Struct, rename="camel", gc=False):
    """An object's metadata without ``managedFields``; absent fields have empty values."""

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
    """An object reduced to its metadata; ``object_type=Metadata`` makes the smallest informer.

    The informer asks for ``PartialObjectMetadata``, so that the server does not even send the rest of the object. If a
    server does not support that and sends whole objects, their metadata is kept.

    Attributes:
        metadata: The metadata.
        kind: The object's own kind; empty if it is not known. Servers that send metadata alone do not say it: it is
            known of built-in kinds, and of what comes whole.
        api_version: Group and version of that kind.
    """

    metadata: ObjectMeta
    kind: str = ""
    api_version: str = ""
