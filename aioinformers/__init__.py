"""Kubernetes informers for asyncio: a shared, always fresh, indexed, in-memory copy of the cluster.

The way of an event, in seven files to read in this order: ``transport/source`` (bytes from the server) →
``listwatch/wire`` (lines and objects) → ``listwatch/reflector`` (lists, watches, recovers) → ``cache/dispatcher``
(applies and fans out) → ``cache/indexer`` (the store) → ``delivery/mailbox`` (each consumer's backlog) →
``delivery/consumer`` (awaits the handlers). ``factory`` and ``informer`` are the faces.
"""

from __future__ import annotations

from aioinformers import errors
from aioinformers.building import new_informer
from aioinformers.cache.lister import Indexer, Lister, NamespaceLister
from aioinformers.delivery.events import Added, Deleted, Event, Released, Updated
from aioinformers.delivery.registration import Registration
from aioinformers.delivery.stream import Stream
from aioinformers.discovery import ApiResource
from aioinformers.errors import (
    ApiStatusError,
    CacheNotSyncedError,
    CacheSyncError,
    InformerClosedError,
    InformerCrashedError,
    InformerError,
    NotFoundError,
)
from aioinformers.factory import SharedInformerFactory
from aioinformers.informer import SharedInformer
from aioinformers.objects.metadata import Metadata, ObjectMeta, OwnerReference
from aioinformers.objects.transforms import drop_fields, keep_fields, strip_managed_fields
from aioinformers.options import HandlerOptions, InformerOptions, StreamOptions
from aioinformers.settings import Settings
from aioinformers.statistics import (
    BusyKey,
    CompactStatistics,
    ConsumerStatistics,
    FactoryHealth,
    InformerHealth,
    InformerStatistics,
    ScopeHealth,
)
from aioinformers.transport.connecting import connect
from aioinformers.types import ALL_NAMESPACES, Cause, GroupVersionResource, ListOptions, ObjectKey, Scope, WatchFailure
from aioinformers.version import __version__
from aioinformers.warm.cache import WarmCache

__all__ = [
    "ALL_NAMESPACES",
    "Added",
    "ApiResource",
    "ApiStatusError",
    "BusyKey",
    "CacheNotSyncedError",
    "CacheSyncError",
    "Cause",
    "CompactStatistics",
    "ConsumerStatistics",
    "Deleted",
    "Event",
    "FactoryHealth",
    "GroupVersionResource",
    "HandlerOptions",
    "Indexer",
    "InformerClosedError",
    "InformerCrashedError",
    "InformerError",
    "InformerHealth",
    "InformerOptions",
    "InformerStatistics",
    "ListOptions",
    "Lister",
    "Metadata",
    "NamespaceLister",
    "NotFoundError",
    "ObjectKey",
    "ObjectMeta",
    "OwnerReference",
    "Registration",
    "Released",
    "Scope",
    "ScopeHealth",
    "Settings",
    "SharedInformer",
    "SharedInformerFactory",
    "Stream",
    "StreamOptions",
    "Updated",
    "WarmCache",
    "WatchFailure",
    "__version__",
    "connect",
    "drop_fields",
    "errors",
    "keep_fields",
    "new_informer",
    "strip_managed_fields",
]
