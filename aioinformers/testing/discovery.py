"""Discovery documents: which groups, versions and resources the server has."""

from __future__ import annotations

from typing import Any

from aioinformers.testing.resources import Resource, Resources

__all__ = ["VERSION", "api_group", "api_groups", "api_resources", "api_versions"]

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
"""What ``/version`` answers: the server whose behaviour is followed."""

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def api_versions() -> dict[str, Any]:
    """Return the document of ``/api``."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def api_groups(resources: Resources) -> dict[str, Any]:
    """Return the document of ``/apis``."""
    groups = [_group(name, versions) for name, versions in resources.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def api_group(resources: Resources, name: str) -> dict[str, Any] | None:
    """Return the document of ``/apis/NAME``, ``None`` if there is no such group."""
    versions = resources.groups().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name, versions) if versions else None


def api_resources(resources: Resources, group: str, version: str) -> dict[str, Any] | None:
    """Return the document of a group's version, ``None`` if it is not served."""
    served = [resource for resource in resources if resource.gvr[:2] == (group, version)]
    if not served:
        return None
    served.sort(key=lambda resource: resource.gvr.resource)
    entries = [entry for resource in served for entry in _entries(resource)]
    # As the real server does: the core group's document leaves its own apiVersion out.
    own = {"apiVersion": "v1"} if group else {}
    group_version = served[0].gvr.api_version
    return {"kind": "APIResourceList", **own, "groupVersion": group_version, "resources": entries}


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _entries(resource: Resource) -> list[dict[str, Any]]:
    plural = resource.gvr.resource
    common = {"namespaced": resource.namespaced, "kind": resource.kind}
    entry: dict[str, Any] = {"name": plural, "singularName": resource.singular, **common, "verbs": _VERBS}
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if not resource.status:
        return [entry]
    return [
        entry,
        {"name": f"{plural}/status", "singularName": "", **common, "verbs": ["get", "patch", "update"]},
    ]
