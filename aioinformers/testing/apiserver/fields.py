"""Which fields field selectors may name, and their values: per kind, as in kube-apiserver 1.37.

Selectors see what kube-apiserver would have filled in where an object leaves a field out, such as the phase of a new
Pod; the embedded server itself fills in nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["check_field", "fields_of"]

Reader: TypeAlias = Callable[[Mapping[str, Any]], str]

_NAME, _NAMESPACE = "metadata.name", "metadata.namespace"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _at(path: str, default: str = "") -> Reader:
    """Return a function that reads a path of an object."""
    names = path.split(".")

    def read(obj: Mapping[str, Any]) -> str:
        value: Any = obj
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return default if value is None or value == "" else _text(value)

    return read


def _first(*readers: Reader) -> Reader:
    """Return a function that gives the first value that is not empty."""
    return lambda obj: next((text for reader in readers if (text := reader(obj))), "")


def _pod_ip(pod: Mapping[str, Any]) -> str:
    addresses = (pod.get("status") or {}).get("podIPs") or [{}]
    return str(addresses[0].get("ip") or "") or _at("status.podIP")(pod)


def _never(_: Mapping[str, Any]) -> str:
    return ""


def _paths(text: str) -> dict[str, Reader]:
    """Read rows of a path and, where there is one, the value of objects that leave it out."""
    return {path: _at(path, *default[:1]) for path, *default in (row.split() for row in text.strip().splitlines())}


def _of_events(reference: str, reporter: str, source: str) -> dict[str, Reader]:
    """Return the fields of an Event, whose names differ between its two groups."""
    parts = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    fields = {f"{reference}.{part}": _at(f"{reference}.{part}") for part in parts}
    reporting = _first(_at("reportingController"), _at("reportingComponent"))
    fields |= {"reason": _at("reason"), "type": _at("type"), reporter: reporting}
    return fields | ({source: _first(_at("source.component"), reporting)} if source else {})


_FIELDS: Mapping[tuple[str, str], Mapping[str, Reader]] = {
    ("", "pods"): {
        **_paths("""
            spec.nodeName
            spec.restartPolicy      Always
            spec.schedulerName      default-scheduler
            spec.serviceAccountName
            spec.hostNetwork        false
            status.phase            Pending
            status.nominatedNodeName
        """),
        "spec.host": _at("spec.nodeName"),  # its name in old clients
        "status.podIP": _pod_ip,
        "status.podIPs": _never,  # kube-apiserver takes the name and compares it with nothing
    },
    ("", "nodes"): _paths("spec.unschedulable false"),
    ("", "namespaces"): _paths("status.phase Active"),
    ("", "secrets"): _paths("type Opaque"),
    ("", "services"): _paths("spec.clusterIP\nspec.type ClusterIP"),
    ("", "replicationcontrollers"): _paths("status.replicas 0"),
    ("", "events"): _of_events("involvedObject", "reportingComponent", "source"),
    ("events.k8s.io", "events"): _of_events("regarding", "reportingController", ""),
    ("batch", "jobs"): {"status.successful": _at("status.succeeded", "0")},
    ("certificates.k8s.io", "certificatesigningrequests"): _paths("spec.signerName"),
    ("certificates.k8s.io", "clustertrustbundles"): _paths("spec.signerName"),
    ("certificates.k8s.io", "podcertificaterequests"): _paths("spec.signerName\nspec.podName\nspec.nodeName"),
    ("resource.k8s.io", "resourceslices"): _paths("spec.nodeName\nspec.driver\nspec.pool.name"),
}
"""The fields of each kind beyond its name and namespace; those of other kinds are these two alone."""

_NO_FIELDS: Mapping[str, str] = {}


def _readers(resource: Resource) -> Mapping[str, Reader] | None:
    """Return the fields of a kind's own; None if it has none."""
    if resource.custom:
        return {path: _at(path) for path in resource.selectable}
    return _FIELDS.get((resource.gvr.group, resource.gvr.resource))


def fields_of(resource: Resource, obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what selectors may compare, beyond name and namespace."""
    readers = _readers(resource)
    return {path: read(obj) for path, read in readers.items()} if readers else _NO_FIELDS


def check_field(resource: Resource, path: str) -> None:
    """Refuse a field that selectors on this kind may not name.

    Raises:
        StatusError: 400 with the words of kube-apiserver, which differ from kind to kind.
    """
    own = _readers(resource)
    if path == _NAME or (path == _NAMESPACE and (resource.namespaced or own is None)):
        return
    if own is None:
        raise StatusError.bad_request(f'"{path}" is not a known field selector: only "{_NAME}", "{_NAMESPACE}"')
    if path in own:
        return
    if resource.kind == "Job" and not resource.custom:
        raise StatusError.bad_request(f'field label "{path}" not supported for Job')
    if resource.kind == "ResourceSlice" and not resource.custom:
        kind = f"{resource.gvr.api_version}, Kind=ResourceSlice"
        raise StatusError.bad_request(f"field label not supported for {kind}: {path}")
    raise StatusError.bad_request(f"field label not supported: {path}")
