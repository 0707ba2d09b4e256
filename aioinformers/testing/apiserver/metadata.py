"""Checks what every object has: its kind, name and namespace, and whether it is the one that is meant. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aioinformers.testing.apiserver.documents import encode
from aioinformers.testing.apiserver.options import DeleteOptions
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.table import Stored

__all__ = [
    "check_applied",
    "check_envelope",
    "check_finalizers",
    "check_name",
    "check_owners",
    "check_preconditions",
    "check_same",
    "check_url_name",
    "key_of",
]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{_NAME.pattern}')"
)

_OWNER_ORDER = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")


def key_of(namespace: str, name: str) -> str:
    """Return the key of an object."""
    return f"{namespace}/{name}" if namespace else name


def check_envelope(resource: Resource, obj: Mapping[str, Any], namespace: str) -> str:
    """Check kind and namespace, and return the object's namespace.

    Raises:
        StatusError: 400 if they do not fit the request.
    """
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    if (api_version or resource.gvr.api_version, kind or resource.kind) != (
        resource.gvr.api_version,
        resource.kind,
    ):
        raise StatusError.bad_request(f'{kind} in version "{api_version}" cannot be handled as a {resource.kind}')
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping):
        raise StatusError.bad_request(f"a {resource.kind} needs an object as its metadata")
    given = metadata.get("namespace") or ""
    if not resource.namespaced:
        namespace = ""
    elif not namespace:
        namespace = given or "default"
    if given and given != namespace:
        raise StatusError.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return namespace


def check_applied(resource: Resource, config: Mapping[str, Any]) -> None:
    """Check that what is applied says what it is, and not who owns it.

    Raises:
        StatusError: 400 if it does not.
    """
    group, _, version = str(config.get("apiVersion") or "").rpartition("/")
    kind = config.get("kind") or ""
    if (group, version, kind) != (*resource.gvr[:2], resource.kind):
        raise StatusError.bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
    metadata = config.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("managedFields") is not None:
        raise StatusError.bad_request("metadata.managedFields must be nil")


def check_name(resource: Resource, name: str) -> None:
    """Check the name of a new object.

    Raises:
        StatusError: 422 if there is none, or it breaks a rule.
    """
    if not name:
        problem = "Required value: name or generateName is required"
        raise StatusError.invalid(resource, "", [("metadata.name", "FieldValueRequired", problem)])
    # Names of RBAC objects, such as system:node, are path segments, not DNS names.
    if len(name) > 253 or not (_NAME.fullmatch(name) or resource.gvr.group.startswith("rbac.")):
        problem = f'Invalid value: "{name}": {_NAME_RULE}'
        raise StatusError.invalid(resource, name, [("metadata.name", "FieldValueInvalid", problem)])


def check_url_name(obj: Mapping[str, Any], name: str) -> None:
    """Check that an object has the name of its request's path.

    Raises:
        StatusError: 400 if it has another one, or none.
    """
    given = (obj.get("metadata") or {}).get("name")
    if not given:
        problem = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        raise StatusError.bad_request(problem)
    if given != name:
        problem = f"the name of the object ({given}) does not match the name on the URL ({name})"
        raise StatusError.bad_request(problem)


def check_same(
    resource: Resource, current: Stored | None, name: str, metadata: Mapping[str, Any], *, guarded: bool
) -> None:
    """Check that an update means the object that is there.

    Args:
        resource: The object's resource.
        current: The object; None if there is none.
        name: Its name.
        metadata: The metadata of the update.
        guarded: Whether they have to say a resourceVersion.

    Raises:
        StatusError: 409 if it has another uid or resourceVersion, 422 if it should have one.
    """
    there = "" if current is None else current.uid
    if (uid := metadata.get("uid")) and uid != there:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {there}"
        raise StatusError.conflict(resource, name, why)
    if current is None:
        return
    version = metadata.get("resourceVersion")
    if not version and guarded:
        problem = "Invalid value: 0: must be specified for an update"
        cause = ("metadata.resourceVersion", "FieldValueInvalid", problem)
        raise StatusError.invalid_kind(resource.gvr.group, resource.gvr.resource, name, [cause])
    if version and version != str(current.version):
        raise StatusError.conflict(resource, name)


def check_preconditions(resource: Resource, current: Stored, options: DeleteOptions) -> None:
    """Check that a deletion means the object that is there.

    Raises:
        StatusError: 409 if it has another uid or resourceVersion.
    """
    if options.uid is not None and options.uid != current.uid:
        why = f"the UID in the precondition ({options.uid}) does not match the UID in record ({current.uid})."
        why += " The object might have been deleted and then recreated"
        raise StatusError.conflict(resource, current.name, why)
    if options.version is not None and options.version != str(current.version):
        why = f"the ResourceVersion in the precondition ({options.version}) does not match the ResourceVersion"
        why += f" in record ({current.version}). The object might have been modified"
        raise StatusError.conflict(resource, current.name, why)


def check_owners(resource: Resource, name: str, references: Any) -> list[Any]:
    """Check the ``ownerReferences`` of an object, and return each of them once.

    Raises:
        StatusError: 422 if one leaves something out, or several are the controller.
    """
    place, causes, controller = "metadata.ownerReferences", [], ""
    once: list[Any] = []
    for each in references:
        if each not in once:
            once.append(each)
    for number, each in enumerate(once):
        causes += [
            (f"{place}[{number}].{field}", "FieldValueRequired", "Required value: must not be empty")
            for field in ("apiVersion", "kind", "name", "uid")
            if not each.get(field)
        ]
        if each.get("controller"):
            found = f"{each.get('kind', '')}/{each.get('name', '')}"
            if controller:
                given = encode([{field: one[field] for field in _OWNER_ORDER if field in one} for one in once]).decode()
                problem = 'Only one reference can have Controller set to true. Found "true" in references for'
                problem = f"Invalid value: {given}: {problem} {controller} and {found}"
                causes.append((place, "FieldValueInvalid", problem))
            controller = controller or found
    if causes:
        raise StatusError.invalid(resource, name, causes)
    return once


def check_finalizers(resource: Resource, name: str, old: Iterable[str], new: Iterable[str]) -> None:
    """Check that an object that is being deleted gets no further finalizers.

    Raises:
        StatusError: 422 if it would.
    """
    if added := sorted(set(new) - set(old)):
        listed = ", ".join(json.dumps(each) for each in added)
        problem = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers "
        cause = ("metadata.finalizers", "FieldValueForbidden", f"{problem}[]string{{{listed}}}")
        raise StatusError.invalid(resource, name, [cause])
