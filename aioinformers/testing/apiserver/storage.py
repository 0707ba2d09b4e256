"""The embedded server's storage: objects of every resource under one resourceVersion counter.

Pure: it uses no loop, no socket, and only the clock that it is given. It implements writes (uids, generations,
conflicts, finalizers, CustomResourceDefinitions); :mod:`~aioinformers.testing.apiserver.table` stores the results.
"""

from __future__ import annotations

import enum
import random
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aioinformers.checks import require_number, shown
from aioinformers.testing.apiserver.documents import content_of, decode, encode_object, merge_patch
from aioinformers.testing.apiserver.fields import fields_of
from aioinformers.testing.apiserver.resources import CRD, DEFAULT_RESOURCES, Resource, Resources, resource_of_crd
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.table import ADDED, DELETED, MODIFIED, Change, Stored, Table
from aioinformers.types import GroupVersionResource

__all__ = ["Backup", "Part", "Storage"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    f"'{_NAME.pattern}')"
)
_FIRST_VERSION = 1
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of the random suffix of a generateName
_FIXED_METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


class Part(enum.Enum):
    """The part of an object that a write may change, if the resource has a ``/status`` subresource."""

    ALL = "all"
    """Everything: writes by Python code."""
    MAIN = "main"
    """Everything except the status: HTTP writes to the object."""
    STATUS = "status"
    """Only the status: HTTP writes to ``/status``."""


@dataclass(frozen=True, slots=True)
class Backup:
    """All objects at one moment.

    Attributes:
        version: The resourceVersion of that moment.
        items: The objects of each resource, by key.
    """

    version: int
    items: Mapping[GroupVersionResource, Mapping[str, Stored]]


class Storage:
    """Objects of every resource, in memory.

    Args:
        resources: The resources to begin with.
        log_size: Changes kept per resource, for watches and for reads of the past.
        now: Clock for the timestamps in metadata.
        rng: Source of uids and generated names.

    Attributes:
        resources: The resources that are served.
        version: The current resourceVersion.
    """

    def __init__(
        self,
        resources: Iterable[Resource] = DEFAULT_RESOURCES,
        *,
        log_size: int = 10_000,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        require_number("log_size", log_size, whole=True)
        if log_size < 1:
            raise ValueError(f"log_size is how many changes are kept, at least 1, not {log_size}")
        self.resources: Resources = Resources()
        self.version: int = _FIRST_VERSION
        self._log_size = log_size
        self._now = now
        self._rng = rng or random.Random()  # uids need not be secret
        self._tables: dict[GroupVersionResource, Table] = {}
        for resource in resources:
            if not isinstance(resource, Resource):
                raise TypeError(
                    f"resources are objects of the class Resource, as in DEFAULT_RESOURCES, not {shown(resource)}"
                )
            self.add_resource(resource)

    def add_resource(self, resource: Resource) -> None:
        """Serve a further resource, without objects.

        Raises:
            ValueError: If it is served already.
        """
        if resource.gvr in self._tables:
            raise ValueError(f"{resource.gvr} is served already")
        self.resources.add(resource)
        # One that is served again has a new watch cache, which does not know what was before: watches of that get 410.
        floor = 0 if self.version == _FIRST_VERSION else self.version
        self._tables[resource.gvr] = Table(resource, log_size=self._log_size, floor=floor)

    def remove_resource(self, resource: Resource) -> None:
        """Delete all objects of a resource, end its watches and stop serving it."""
        table = self.table(resource)
        for item in list(table.items.values()):
            self._remove(table, item)
        table.close()
        self.resources.remove(resource.gvr)
        del self._tables[resource.gvr]

    def table(self, resource: Resource) -> Table:
        """Return the objects and the log of a resource.

        Raises:
            StatusError: 404 if it is not served.
        """
        try:
            return self._tables[resource.gvr]
        except KeyError:
            raise StatusError.no_resource() from None

    def expire(self, version: int | None = None, *, resource: Resource | None = None) -> None:
        """Forget the history up to a version, as a compaction does.

        Open watches continue. Later watches from an older version, and continue tokens and exact lists of older
        versions, get 410.

        Args:
            version: The newest version to forget; the current one by default.
            resource: The resource; all resources by default.
        """
        limit = self.version if version is None else version
        tables = self._tables.values() if resource is None else (self.table(resource),)
        for table in tables:
            table.expire(limit)

    def backup(self) -> Backup:
        """Return a copy of all objects."""
        return Backup(self.version, {gvr: dict(table.items) for gvr, table in self._tables.items()})

    def restore(self, backup: Backup) -> None:
        """Restore a backup and forget the log; resources that the backup does not contain become empty."""
        self.version = backup.version
        for gvr, table in self._tables.items():
            table.reset(backup.items.get(gvr, {}), backup.version)

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        """Return an object.

        Raises:
            StatusError: 404 if the object does not exist.
        """
        item = self.table(resource).items.get(_key(namespace, name))
        if item is None:
            raise StatusError.not_found(resource, name)
        return item

    def read(self, resource: Resource, namespace: str, name: str) -> Stored:
        """Return an object, or a namespace that has never been created but has objects: it is there.

        Raises:
            StatusError: 404 if the object does not exist.
        """
        try:
            return self.get(resource, namespace, name)
        except StatusError:
            if resource.gvr != ("", "v1", "namespaces") or not self._has_objects_in(name):
                raise
        metadata = {"name": name, "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name))}
        made = {"kind": resource.kind, "apiVersion": "v1", "metadata": metadata, "status": {"phase": "Active"}}
        return self._stored(resource, made, self.version)

    def _has_objects_in(self, namespace: str) -> bool:
        return any(item.namespace == namespace for table in self._tables.values() for item in table.items.values())

    def create(
        self, resource: Resource, obj: Mapping[str, Any], *, namespace: str = "", part: Part = Part.ALL
    ) -> Stored:
        """Store a new object.

        Raises:
            StatusError: 400, 409 (the name is taken) or 422.
        """
        table = self.table(resource)
        namespace = self._check_envelope(resource, obj, namespace)
        given = obj["metadata"]
        if given.get("resourceVersion"):
            raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
        name = self._new_name(resource, given)
        if _key(namespace, name) in table.items:
            raise StatusError.already_exists(resource, name)
        metadata = {key: value for key, value in given.items() if key not in _FIXED_METADATA}
        metadata |= {"name": name, "uid": str(uuid.UUID(int=self._rng.getrandbits(128), version=4))}
        metadata["creationTimestamp"] = self._timestamp()
        if namespace:
            metadata["namespace"] = namespace
        if resource.generation:
            metadata["generation"] = 1
        made = {"apiVersion": resource.gvr.api_version, "kind": resource.kind, **obj, "metadata": metadata}
        if part is Part.MAIN and resource.status:
            made.pop("status", None)
        if resource.gvr == CRD:
            made = self._establish(made)
        return self._put(table, made, None)

    def update(
        self,
        resource: Resource,
        name: str,
        obj: Mapping[str, Any],
        *,
        namespace: str = "",
        part: Part = Part.ALL,
    ) -> Stored:
        """Replace an object; a write without changes does not make a new version.

        Raises:
            StatusError: 400, 404, 409 (another resourceVersion or uid) or 422.
        """
        namespace = self._check_envelope(resource, obj, namespace)
        current = self.get(resource, namespace, name)
        return self._replace(current, resource, obj, part)

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any],
        *,
        namespace: str = "",
        part: Part = Part.ALL,
    ) -> Stored:
        """Apply a JSON merge patch.

        Raises:
            StatusError: As for :meth:`update`.
        """
        current = self.get(resource, namespace, name)
        merged = merge_patch(decode(current.body), patch)
        self._check_envelope(resource, merged, namespace)
        return self._replace(current, resource, merged, part)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        uid: str | None = None,
        version: str | None = None,
    ) -> tuple[Stored, bool]:
        """Delete an object, or mark it for deletion if it has finalizers.

        Args:
            resource: Its resource.
            name: Its name.
            namespace: Its namespace.
            uid: Delete only the object with this uid.
            version: Delete the object only in this resourceVersion.

        Returns:
            The object's last state, and whether it has been removed.

        Raises:
            StatusError: 404 or 409 (a precondition failed).
        """
        current = self.get(resource, namespace, name)
        self._check_preconditions(resource, current, uid, version)
        table = self.table(resource)
        obj = decode(current.body)
        metadata = obj["metadata"]
        if not metadata.get("finalizers"):
            self._remove(table, current)
            return current, True
        if "deletionTimestamp" in metadata:
            return current, False
        metadata |= {"deletionTimestamp": self._timestamp(), "deletionGracePeriodSeconds": 0}
        if resource.generation:
            metadata["generation"] = metadata.get("generation", 0) + 1
        return self._put(table, obj, current), False

    def _replace(self, current: Stored, resource: Resource, obj: Mapping[str, Any], part: Part) -> Stored:
        old = decode(current.body)
        given, was = obj["metadata"], old["metadata"]
        if given.get("name", current.name) != current.name:
            raise StatusError.bad_request(
                f"the name of the object ({given['name']}) does not match the name on the URL ({current.name})"
            )
        self._check_same(resource, current, given)
        metadata = {key: value for key, value in given.items() if key not in _FIXED_METADATA}
        metadata |= {key: was[key] for key in _FIXED_METADATA if key in was}
        metadata["resourceVersion"] = was["resourceVersion"]
        made = {"apiVersion": old["apiVersion"], "kind": old["kind"], **obj, "metadata": metadata}
        if resource.status and part is not Part.ALL:
            made = _merge_parts(old, made, part)
        if made == old:
            return current
        return self._commit(current, resource, made, old)

    def _commit(self, current: Stored, resource: Resource, made: dict[str, Any], old: Mapping[str, Any]) -> Stored:
        table, metadata = self.table(resource), made["metadata"]
        if resource.generation and content_of(made) != content_of(old):
            metadata["generation"] = metadata.get("generation", 0) + 1
        if "deletionTimestamp" not in metadata:
            return self._put(table, made, current)
        remaining = set(metadata.get("finalizers", ()))
        if added := remaining - set(old["metadata"].get("finalizers", ())):
            problem = f"Forbidden: no new finalizers can be added if the object is being deleted, found new {added}"
            cause = ("metadata.finalizers", "FieldValueForbidden", problem)
            raise StatusError.invalid(resource, current.name, [cause])
        if remaining:
            return self._put(table, made, current)
        # The last finalizer is gone: the answer is the new state in the old version, and watches send the old state in
        # the version of the deletion.
        self._remove(table, current)
        return self._stored(resource, made, current.version)

    def _put(self, table: Table, obj: dict[str, Any], previous: Stored | None) -> Stored:
        self.version += 1
        item = self._stored(table.resource, obj, self.version)
        table.apply(Change(MODIFIED if previous else ADDED, self.version, item, previous))
        return item

    def _remove(self, table: Table, previous: Stored) -> None:
        obj = decode(previous.body)
        self.version += 1
        item = self._stored(table.resource, obj, self.version)
        table.apply(Change(DELETED, self.version, item, previous))
        if table.resource.gvr == CRD and (made := self.resources.get(resource_of_crd(obj).gvr)):
            self.remove_resource(made)

    def _stored(self, resource: Resource, obj: dict[str, Any], version: int) -> Stored:
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(version)
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        return Stored(
            key=_key(namespace, name),
            namespace=namespace,
            name=name,
            uid=metadata["uid"],
            version=version,
            body=encode_object(resource, obj),
            labels=dict(metadata.get("labels") or ()),
            fields=fields_of(resource, obj),
        )

    def _check_envelope(self, resource: Resource, obj: Mapping[str, Any], namespace: str) -> str:
        """Check kind and namespace, and return the object's namespace."""
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

    def _new_name(self, resource: Resource, metadata: Mapping[str, Any]) -> str:
        name = metadata.get("name") or ""
        if not name and (prefix := metadata.get("generateName")):
            name = prefix + "".join(self._rng.choices(_SUFFIX_LETTERS, k=5))
        if not name:
            problem = "Required value: name or generateName is required"
            raise StatusError.invalid(resource, "", [("metadata.name", "FieldValueRequired", problem)])
        # Names of RBAC objects, such as system:node, are path segments, not DNS names.
        if len(name) > 253 or not (_NAME.fullmatch(name) or resource.gvr.group.startswith("rbac.")):
            problem = f'Invalid value: "{name}": {_NAME_RULE}'
            raise StatusError.invalid(resource, name, [("metadata.name", "FieldValueInvalid", problem)])
        return str(name)

    def _check_same(self, resource: Resource, current: Stored, metadata: Mapping[str, Any]) -> None:
        if (uid := metadata.get("uid")) and uid != current.uid:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {current.uid}"
            raise StatusError.conflict(resource, current.name, why)
        version = metadata.get("resourceVersion")
        if not version and resource.custom:
            problem = "Invalid value: 0: must be specified for an update"
            cause = ("metadata.resourceVersion", "FieldValueInvalid", problem)
            raise StatusError.invalid(resource, current.name, [cause])
        if version and version != str(current.version):
            raise StatusError.conflict(resource, current.name)

    def _check_preconditions(self, resource: Resource, current: Stored, uid: str | None, version: str | None) -> None:
        if uid is not None and uid != current.uid:
            why = f"the UID in the precondition ({uid}) does not match the UID in record ({current.uid})."
            why += " The object might have been deleted and then recreated"
            raise StatusError.conflict(resource, current.name, why)
        if version is not None and version != str(current.version):
            why = f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion"
            why += f" in record ({current.version}). The object might have been modified"
            raise StatusError.conflict(resource, current.name, why)

    def _establish(self, crd: dict[str, Any]) -> dict[str, Any]:
        """Serve the resource of a new CRD, and return the CRD with the matching status."""
        try:
            resource = resource_of_crd(crd)
        except (LookupError, TypeError, AttributeError, StopIteration) as error:
            cause = ("spec", "FieldValueRequired", f"Required value: {error}")
            raise StatusError.invalid(self._crds(), crd["metadata"]["name"], [cause]) from error
        if crd["metadata"]["name"] != resource.group_resource:
            problem = f'Invalid value: "{crd["metadata"]["name"]}": must be spec.names.plural+"."+spec.group'
            cause = ("metadata.name", "FieldValueInvalid", problem)
            raise StatusError.invalid(self._crds(), crd["metadata"]["name"], [cause])
        if self.resources.get(resource.gvr) is None:
            self.add_resource(resource)
        conditions = [
            {"type": name, "status": "True", "lastTransitionTime": self._timestamp(), "reason": reason}
            for name, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
        ]
        names = crd["spec"]["names"]
        status = {
            "conditions": conditions,
            "acceptedNames": names,
            "storedVersions": [resource.gvr.version],
        }
        return {**crd, "status": status}

    def _crds(self) -> Resource:
        return self.resources.resolve(CRD)

    def _timestamp(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _merge_parts(old: Mapping[str, Any], made: Mapping[str, Any], part: Part) -> dict[str, Any]:
    """Take the part that a write may change from the new object, and the rest from the old one."""
    main, status = (made, old) if part is Part.MAIN else (old, made)
    merged = {name: value for name, value in main.items() if name != "status"}
    return merged | ({"status": status["status"]} if "status" in status else {})
