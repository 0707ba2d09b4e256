"""Discovery documents: the groups, versions and resources that the server has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aioinformers.testing.apiserver.resources import Resource, Resources
from aioinformers.testing.apiserver.status import StatusError

__all__ = [
    "AGGREGATED_TYPE",
    "VERSION",
    "aggregated",
    "api_group",
    "api_groups",
    "api_resources",
    "api_versions",
    "wants_aggregated",
]

VERSION = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.2+aioinformers",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}
"""The document of ``/version``: the version of kube-apiserver that the embedded server imitates."""

_AGGREGATED = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}
AGGREGATED_TYPE = ";".join(["application/json", *(f"{name}={value}" for name, value in _AGGREGATED.items())])
"""The content type of the aggregated documents."""

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_CUSTOM_VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
_STATUS_VERBS = ["get", "patch", "update"]
_SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}

_GROUPS = (
    "", "apps", "events.k8s.io", "autoscaling", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
    "storage.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io", "discovery.k8s.io",
)  # fmt: skip
"""The groups in the order of the real server's documents; groups of custom resources follow, sorted by name."""

_CATEGORIES = {
    "customresourcedefinitions.apiextensions.k8s.io": "api-extensions",
    **dict.fromkeys((
        "pods", "replicationcontrollers", "services", "daemonsets.apps", "deployments.apps", "replicasets.apps",
        "statefulsets.apps", "horizontalpodautoscalers.autoscaling", "cronjobs.batch", "jobs.batch",
    ), "all"),
}  # fmt: skip
_MORE_SHORT_NAMES = {"customresourcedefinitions.apiextensions.k8s.io": ("crds",)}

_KUBE_VERSION = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?")
_STABILITY = {"alpha": 1, "beta": 2, None: 3}


def wants_aggregated(accept: str) -> bool:
    """Tell whether an ``Accept`` header prefers the aggregated document to the plain one.

    Raises:
        StatusError: 406 if it accepts neither.
    """
    for clause in accept.split(",") if accept.strip() else ["*/*"]:
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        given.pop("q", None)
        if media_type == "application/json" and given == _AGGREGATED:
            return True
        if media_type in ("application/json", "*/*") and "as" not in given:
            return False
    types = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    raise StatusError(406, "NotAcceptable", f"only the following media types are accepted: {types}")


def aggregated(resources: Resources, path: str) -> dict[str, Any]:
    """Return the aggregated document of ``api`` (the core group) or ``apis`` (all other groups)."""
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [
                {
                    "version": version,
                    "resources": [_aggregated_entry(resource) for resource in _served(resources, group, version)],
                    "freshness": "Current",
                }
                for version in versions
            ],
        }
        for group, versions in _groups(resources)
        if (path == "api") is (group == "")
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def api_versions() -> dict[str, Any]:
    """Return the document of ``/api``."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def api_groups(resources: Resources) -> dict[str, Any]:
    """Return the document of ``/apis``."""
    groups = [_group(name, versions) for name, versions in _groups(resources) if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(resources: Resources, name: str) -> dict[str, Any] | None:
    """Return the document of ``/apis/NAME``; None if the group does not exist."""
    versions = dict(_groups(resources)).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name, versions) if versions else None


def api_resources(resources: Resources, group: str, version: str) -> dict[str, Any] | None:
    """Return the document of a group's version; None if it is not served."""
    served = _served(resources, group, version)
    if not served:
        return None
    entries = [entry for resource in served for entry in _entries(resource)]
    # As on the real server, the core group's document has no apiVersion of its own.
    own = {"apiVersion": "v1"} if group else {}
    group_version = served[0].gvr.api_version
    return {"kind": "APIResourceList", **own, "groupVersion": group_version, "resources": entries}


def _groups(resources: Resources) -> list[tuple[str, list[str]]]:
    """Return the groups in the real server's order, each with its versions, the preferred one first."""
    places = {group: place for place, group in enumerate(_GROUPS)}
    groups = sorted(resources.groups().items(), key=lambda item: (places.get(item[0], len(places)), item[0]))
    return [(group, sorted(versions, key=_preference)) for group, versions in groups]


def _preference(version: str) -> tuple[int, int, int, str]:
    """Return a sort key for Kubernetes' order of preference: v2, v1, v1beta2, v1beta1, v1alpha1, then other texts."""
    match = _KUBE_VERSION.fullmatch(version)
    if match is None:
        return 0, 0, 0, version
    return -_STABILITY[match[2]], -int(match[1]), -int(match[3] or 0), version


def _served(resources: Resources, group: str, version: str) -> list[Resource]:
    served = (resource for resource in resources if resource.gvr[:2] == (group, version))
    return sorted(served, key=lambda resource: resource.gvr.resource)


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _verbs(resource: Resource) -> list[str]:
    if resource.group_resource == "namespaces":
        return [verb for verb in _VERBS if verb != "deletecollection"]
    return _CUSTOM_VERBS if resource.custom else _VERBS


def _names(resource: Resource) -> dict[str, Any]:
    """Return the fields for short names and categories, without those that would be empty."""
    short = [*resource.short_names, *_MORE_SHORT_NAMES.get(resource.group_resource, ())]
    category = _CATEGORIES.get(resource.group_resource)
    return ({"shortNames": short} if short else {}) | ({"categories": [category]} if category else {})


def _aggregated_entry(resource: Resource) -> dict[str, Any]:
    # The real server leaves the group and version of its own kinds empty.
    group, version = resource.gvr[:2] if resource.custom else ("", "")
    response_kind = {"group": group, "version": version, "kind": resource.kind}
    entry: dict[str, Any] = {
        "resource": resource.gvr.resource,
        "responseKind": response_kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _verbs(resource),
        **_names(resource),
    }
    kinds = {"status": response_kind, "scale": _SCALE}
    if names := _subresources(resource):
        entry["subresources"] = [
            {"subresource": name, "responseKind": kinds[name], "verbs": _STATUS_VERBS} for name in names
        ]
    return entry


def _subresources(resource: Resource) -> list[str]:
    """Return the names of a resource's subresources, in the order of the real server."""
    names = (["status"] if resource.status else []) + (["scale"] if resource.scale else [])
    return names if resource.custom else sorted(names)


def _entries(resource: Resource) -> Iterator[dict[str, Any]]:
    plural = resource.gvr.resource
    common = {"namespaced": resource.namespaced, "kind": resource.kind}
    yield {"name": plural, "singularName": resource.singular, **common, "verbs": _verbs(resource), **_names(resource)}
    for name in _subresources(resource):
        kind = {"namespaced": resource.namespaced, **_SCALE} if name == "scale" else common
        yield {"name": f"{plural}/{name}", "singularName": "", **kind, "verbs": _STATUS_VERBS}
