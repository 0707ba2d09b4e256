"""The ``/scale`` subresource: a ``Scale`` of an object, and what a change of it does to the object. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aioinformers.testing.apiserver.documents import encode
from aioinformers.testing.apiserver.patches import Change
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["applied_by_scale", "on_scale", "scale_bytes"]

_KIND = {"kind": "Scale", "apiVersion": "autoscaling/v1"}
_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
_DEFAULT_REPLICAS = 1  # what kube-apiserver fills in for built-in kinds


def scale_bytes(resource: Resource, obj: Mapping[str, Any]) -> bytes:
    """Return the encoded scale of an object.

    Raises:
        StatusError: 500 if a custom object does not say how many replicas it is to have.
    """
    scale = _scale_of(resource, obj)
    if "replicas" not in scale["spec"]:
        problem = f'the spec replicas field "{_paths(resource)[0]}" does not exist'
        details = {"causes": [{"message": problem}]}
        raise StatusError(500, "InternalError", f"Internal error occurred: {problem}", details=details)
    if not scale["spec"]["replicas"]:
        scale["spec"] = {}
    if not scale["status"]["selector"]:
        del scale["status"]["selector"]
    return encode(scale) + b"\n"


def on_scale(resource: Resource, name: str, change: Change) -> Change:
    """Return what a change of an object's scale does to the object.

    Args:
        resource: The object's resource.
        name: Its name.
        change: The change of its scale.
    """

    def on_object(obj: dict[str, Any]) -> dict[str, Any]:
        scale = change(_scale_of(resource, obj))
        if not isinstance(scale, Mapping) or not isinstance(scale.get("metadata"), Mapping):
            raise StatusError.bad_request("a Scale is a JSON object with metadata")
        kind = {"kind": scale.get("kind", "Scale"), "apiVersion": scale.get("apiVersion", "autoscaling/v1")}
        if kind != _KIND:
            problem = f'{kind["kind"]} in version "{kind["apiVersion"]}" cannot be handled as a Scale'
            raise StatusError.bad_request(problem)
        metadata = obj["metadata"]
        metadata |= {
            key: scale["metadata"][key] for key in ("name", "uid", "resourceVersion") if scale["metadata"].get(key)
        }
        _put(obj, _paths(resource)[0], _replicas(resource, name, scale, obj))
        return obj

    return on_object


def applied_by_scale(resource: Resource, name: str, scale: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the apply of a scale applies to its object.

    Args:
        resource: The object's resource.
        name: Its name.
        scale: The scale that is applied.

    Raises:
        StatusError: 400 or 422 if it is none.
    """
    if {name: scale.get(name) for name in _KIND} != _KIND:
        group, _, version = str(scale.get("apiVersion") or "").rpartition("/")
        raise StatusError.bad_request(f"invalid object type: {group}/{version}, Kind={scale.get('kind') or ''}")
    given = scale.get("metadata") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "managedFields")
    metadata = {key: given[key] for key in kept if key in given}
    config: dict[str, Any] = {"apiVersion": resource.gvr.api_version, "kind": resource.kind, "metadata": metadata}
    if (scale.get("spec") or {}).get("replicas") is not None:
        _put(config, _paths(resource)[0], _replicas(resource, name, scale, config))
    return config


def _replicas(resource: Resource, name: str, scale: Mapping[str, Any], obj: Mapping[str, Any]) -> int:
    path = _paths(resource)[0]
    replicas = (scale.get("spec") or {}).get("replicas")
    if replicas is None:
        if resource.custom and _at(obj, path) is None:
            raise StatusError.bad_request(f'the spec replicas field "{path}" cannot be empty')
        return 0
    if type(replicas) is not int:
        raise StatusError.bad_request(f"spec.replicas of a Scale is a number, not {encode(replicas).decode()}")
    if replicas < 0:
        problem = f"Invalid value: {replicas}: must be greater than or equal to 0"
        raise StatusError.invalid_kind("autoscaling", "Scale", name, [("spec.replicas", "FieldValueInvalid", problem)])
    return replicas


def _scale_of(resource: Resource, obj: Mapping[str, Any]) -> dict[str, Any]:
    wanted, there, selector = _paths(resource)
    metadata = {key: obj["metadata"][key] for key in _METADATA if key in obj["metadata"]}
    replicas = _at(obj, wanted)
    if replicas is None and not resource.custom:
        replicas = _DEFAULT_REPLICAS
    chosen = _at(obj, selector) if selector else ""
    return {
        **_KIND,
        "metadata": metadata,
        "spec": {} if replicas is None else {"replicas": replicas},
        "status": {"replicas": _at(obj, there) or 0, "selector": chosen if resource.custom else _selector(chosen)},
    }


def _paths(resource: Resource) -> tuple[str, str, str]:
    assert resource.scale is not None, f"{resource.gvr} has no scale"
    return resource.scale.replicas, resource.scale.status_replicas, resource.scale.selector


def _at(obj: Any, path: str) -> Any:
    for name in path.removeprefix(".").split("."):
        obj = obj.get(name) if isinstance(obj, Mapping) else None
    return obj


def _put(obj: dict[str, Any], path: str, value: int) -> None:
    *names, last = path.removeprefix(".").split(".")
    for name in names:
        obj = obj.setdefault(name, {})
    obj[last] = value


def _selector(selector: Any) -> str:
    """Return a label selector as text: requirements in the order of their labels."""
    given = selector if isinstance(selector, Mapping) else {}
    is_plain = not {"matchLabels", "matchExpressions"} & set(given)  # that of a ReplicationController
    labels = given if is_plain else given.get("matchLabels") or {}
    terms = [(label, f"{label}={value}") for label, value in labels.items()]
    for each in () if is_plain else given.get("matchExpressions") or ():
        label, values = str(each.get("key", "")), ",".join(sorted(each.get("values") or ()))
        forms = {"In": f"{label} in ({values})", "NotIn": f"{label} notin ({values})", "DoesNotExist": f"!{label}"}
        terms.append((label, forms.get(str(each.get("operator")), label)))
    return ",".join(term for _, term in sorted(terms, key=lambda term: term[0]))
