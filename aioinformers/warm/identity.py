"""Whose state is stored, and which cluster it is of: what has to be the same for it to be used again."""

from __future__ import annotations

import asyncio
import hashlib
import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from aioinformers.checks import name_of
from aioinformers.errors import ApiStatusError, ConnectionFailedError, ResponseError, ServerBusyError, UnauthorizedError
from aioinformers.objects.facts import leading_bytes_transform
from aioinformers.objects.layout import Layout
from aioinformers.objects.transforms import BytesTransform
from aioinformers.transport.source import Source
from aioinformers.types import GroupVersionResource, Scope

__all__ = [
    "Cluster",
    "cluster_of",
    "file_name",
    "file_prefix",
    "identity_of",
    "is_passing",
    "is_same_cluster",
    "server_of",
]

FORMAT: Final = 1
"""Of what stands in the frames; another one is another state."""
_PATH: Final = "/api/v1/namespaces/kube-system"


def identity_of(
    resource: GroupVersionResource, scope: Scope, query: Mapping[str, str], layout: Layout[Any]
) -> dict[str, Any]:
    """Return whose state it is that an informer stores of one scope.

    Built-in transforms are known by what they do. Users' functions run anew when the state is used, so that only their
    names matter, to tell two informers of one process apart.
    """
    shown = layout.object_type.inner
    functions = [name_of(each) for each in layout.transforms if not isinstance(each, BytesTransform)]
    python_type = shown.python_type
    return {
        "format": FORMAT,
        "resource": list(resource),
        "namespace": scope.namespace,
        "ranges": [f"{begin:x}-{end:x}" for begin, end in scope.ranges],  # the last one ends beyond 64 bits
        "query": [list(each) for each in sorted(query.items())],
        "type": f"{python_type.__module__}.{python_type.__qualname__} as {type(shown).__name__}",
        "transform": repr(leading_bytes_transform(layout.transforms)),
        "functions": functions,
    }


def file_prefix(resource: GroupVersionResource) -> str:
    """Return what the names of a resource's files begin with."""
    return re.sub(r"[^a-z0-9.-]", "_", str(resource)) + "-"


def file_name(resource: GroupVersionResource, identity: dict[str, Any]) -> str:
    """Return the name of the file of some state."""
    digest = hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()
    return file_prefix(resource) + digest[:20]


class Cluster:
    """Which cluster a client talks to: asked once.

    Args:
        source: Makes the request.
    """

    def __init__(self, source: Source) -> None:
        self._source = weakref.ref(source)
        self._known: dict[str, str] | None = None
        self._asking = asyncio.Lock()

    async def __call__(self) -> dict[str, str]:
        """Return the uid of the namespace kube-system, where that may be read, and the server and its authorities.

        Raises:
            ConnectionFailedError: If the server cannot be reached.
            ApiStatusError: If it does not want to answer now.
        """
        async with self._asking:
            if self._known is None:
                source = self._source()
                assert source is not None, "whoever asks has it"
                self._known = {**server_of(source), "uid": await _uid_of(source)}
            return self._known


async def _uid_of(source: Source) -> str:
    try:
        body = await source.read_json(_PATH, is_proof=True)
        return _decode(body).metadata.uid
    except (ApiStatusError, ResponseError) as error:
        if is_passing(error):
            raise
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    return ""  # it may not be read, or there is none


def is_passing(error: Exception) -> bool:
    """Tell whether a server may answer a request soon that it has not answered now."""
    is_failing = isinstance(error, ApiStatusError) and error.status >= 500
    return is_failing or isinstance(error, ConnectionFailedError | ServerBusyError | UnauthorizedError)


def server_of(source: Source) -> dict[str, str]:
    """Return a client's server and its authorities, without any request."""
    configuration = source.client.api_client.configuration
    authorities = ""
    if path := getattr(configuration, "ssl_ca_cert", None):
        try:
            authorities = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except (OSError, TypeError):
            authorities = "unreadable"
    return {"host": str(getattr(configuration, "host", "")), "authorities": authorities}


def is_same_cluster(stored: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Tell whether two descriptions are of one cluster: by the uid of kube-system, else by the server."""
    if stored.get("uid") and now.get("uid"):
        return stored["uid"] == now["uid"]
    return all(stored.get(name) == now.get(name) for name in ("host", "authorities"))


def cluster_of(source: Source) -> Cluster:
    """Return what says which cluster a client talks to."""
    found = _clusters.get(source)
    if found is None:
        found = _clusters[source] = Cluster(source)
    return found


class _Metadata(msgspec.Struct, gc=False):
    uid: str = ""


class _Namespace(msgspec.Struct, gc=False):
    metadata: _Metadata


_decode: Final = msgspec.json.Decoder(_Namespace).decode
_clusters: weakref.WeakKeyDictionary[Source, Cluster] = weakref.WeakKeyDictionary()
