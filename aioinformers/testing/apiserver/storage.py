"""The embedded server's storage: objects of every resource under one resourceVersion counter.

Pure: it uses no loop, no socket, and only the clock that it is given. It implements writes (uids, generations,
conflicts, finalizers, CustomResourceDefinitions); :mod:`~aioinformers.testing.apiserver.table` stores the results,
and :mod:`~aioinformers.testing.apiserver.dependents` learns who owns whom.
"""

from __future__ import annotations

import enum
import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aioinformers.checks import require_number, shown
from aioinformers.testing.apiserver.dependents import Dependents, finalizers_of_deletion
from aioinformers.testing.apiserver.documents import content_of, decode, encode_object, merge_patch, without_nulls
from aioinformers.testing.apiserver.events import as_event_of, other_events
from aioinformers.testing.apiserver.fields import fields_of
from aioinformers.testing.apiserver.metadata import (
    check_applied,
    check_envelope,
    check_finalizers,
    check_name,
    check_owners,
    check_preconditions,
    check_same,
    check_url_name,
    key_of,
)
from aioinformers.testing.apiserver.options import DeleteOptions, WriteOptions
from aioinformers.testing.apiserver.ownership import Writer, apply, is_tracked, is_unchanged, set_owners, updated
from aioinformers.testing.apiserver.resources import CRD, DEFAULT_RESOURCES, Resource, Resources, resource_of_crd
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.testing.apiserver.table import ADDED, DELETED, MODIFIED, Change, Stored, Table
from aioinformers.types import GroupVersionResource

__all__ = ["Backup", "Part", "Storage"]

_FIRST_VERSION = 1
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # of the random suffix of a generateName
_NAMES_TRIED = 8
_DEFAULT_WRITE = WriteOptions()
_DEFAULT_DELETE = DeleteOptions()
_FIXED_METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)

_OMITTED_IF_EMPTY = frozenset({"labels", "annotations", "ownerReferences", "finalizers"})


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
        dependents: Which objects are owned by which.
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
        self.dependents: Dependents = Dependents()
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
        self.dependents.reset(self._owned())

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        """Return an object.

        Raises:
            StatusError: 404 if the object does not exist.
        """
        item = self.table(resource).items.get(key_of(namespace, name))
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
        self,
        resource: Resource,
        obj: Mapping[str, Any],
        *,
        namespace: str = "",
        part: Part = Part.ALL,
        options: WriteOptions = _DEFAULT_WRITE,
    ) -> Stored:
        """Store a new object.

        Raises:
            StatusError: 400, 409 (the name is taken) or 422.
        """
        return self._create(resource, obj, namespace, part, options, owned=not options.manager)

    def _create(
        self,
        resource: Resource,
        obj: Mapping[str, Any],
        namespace: str,
        part: Part,
        options: WriteOptions,
        *,
        owned: bool,
    ) -> Stored:
        """Store a new object, whose fields have their owners already or get them now."""
        table = self.table(resource)
        namespace = check_envelope(resource, obj, namespace)
        given = obj["metadata"]
        if given.get("resourceVersion"):
            raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
        name = self._new_name(table, given, namespace)
        metadata = _as_given(given)
        metadata |= {"name": name, "uid": str(uuid.UUID(int=self._rng.getrandbits(128), version=4))}
        metadata["creationTimestamp"] = self._timestamp()
        if namespace:
            metadata["namespace"] = namespace
        if references := metadata.get("ownerReferences") if part is not Part.ALL else None:
            metadata["ownerReferences"] = check_owners(resource, name, references)
        if resource.generation:
            metadata["generation"] = 1
        made = {"apiVersion": resource.gvr.api_version, "kind": resource.kind, **obj, "metadata": metadata}
        if part is Part.MAIN and resource.status:
            made.pop("status", None)
        if not owned:
            set_owners(made, updated(self._writer(resource, part, options), None, made))
        if resource.gvr == CRD:
            made = self._establish(made, options)
        return self._put(table, made, None, options)

    def upsert(
        self, resource: Resource, name: str, obj: Mapping[str, Any], *, namespace: str, options: WriteOptions
    ) -> tuple[Stored, bool]:
        """Replace an object by a PUT, or create one that may be created so; return whether it has been created.

        Raises:
            StatusError: As for :meth:`update`.
        """
        if not resource.upserts or key_of(namespace, name) in self.table(resource).items:
            return self.update(resource, name, obj, namespace=namespace, part=Part.MAIN, options=options), False
        check_envelope(resource, obj, namespace)
        check_url_name(obj, name)
        check_same(resource, None, name, obj["metadata"], guarded=False)
        metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
        new = {**obj, "metadata": metadata}
        return self.create(resource, new, namespace=namespace, part=Part.MAIN, options=options), True

    def update(
        self,
        resource: Resource,
        name: str,
        obj: Mapping[str, Any],
        *,
        namespace: str = "",
        part: Part = Part.ALL,
        options: WriteOptions = _DEFAULT_WRITE,
    ) -> Stored:
        """Replace an object; a write without changes does not make a new version.

        Raises:
            StatusError: 400, 404, 409 (another resourceVersion or uid) or 422.
        """
        namespace = check_envelope(resource, obj, namespace)
        current = self.get(resource, namespace, name)
        return self._replace(current, resource, obj, part, options)

    def patch(
        self,
        resource: Resource,
        name: str,
        patch: Mapping[str, Any],
        *,
        namespace: str = "",
        part: Part = Part.ALL,
        options: WriteOptions = _DEFAULT_WRITE,
    ) -> Stored:
        """Apply a JSON merge patch.

        Raises:
            StatusError: As for :meth:`update`.
        """
        change = partial(merge_patch, patch=patch)
        return self.change(resource, name, change, namespace=namespace, part=part, options=options)

    def change(
        self,
        resource: Resource,
        name: str,
        change: Callable[[dict[str, Any]], Any],
        *,
        namespace: str = "",
        part: Part = Part.ALL,
        options: WriteOptions = _DEFAULT_WRITE,
    ) -> Stored:
        """Replace an object by what a function makes of it.

        Args:
            resource: Its resource.
            name: Its name.
            change: A function that returns the new object, and may change and return the one that it is given.
            namespace: Its namespace.
            part: The part that may change.
            options: How to write.

        Raises:
            StatusError: As for :meth:`update`, and what the function raises.
        """
        current = self.get(resource, namespace, name)
        changed = change(decode(current.body))
        if not isinstance(changed, Mapping):
            raise StatusError.bad_request(f"a {resource.kind} is a JSON object")
        check_envelope(resource, changed, namespace)
        return self._replace(current, resource, changed, part, options)

    def apply(
        self,
        resource: Resource,
        name: str,
        config: Mapping[str, Any],
        *,
        namespace: str = "",
        part: Part = Part.ALL,
        options: WriteOptions,
    ) -> tuple[Stored, bool]:
        """Apply an object as server-side apply does, and create it if it is not there.

        Returns:
            The object, and whether it has been created.

        Raises:
            StatusError: As for :meth:`update`; 409 also if others own a field that would change.
        """
        check_applied(resource, config)
        current = self.table(resource).items.get(key_of(namespace, name))
        if current is None and options.subresource:
            raise StatusError.not_found(resource, name)
        old = None if current is None else decode(current.body)
        made, owners = apply(self._writer(resource, part, options), old, config, force=options.force)
        made = made if resource.custom else without_nulls(made)
        check_url_name(made, name)
        namespace = check_envelope(resource, made, namespace)
        set_owners(made, owners)
        if current is not None:
            return self._replace(current, resource, made, part, options, owned=True), False
        if uid := made["metadata"].get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise StatusError.conflict(resource, name, why)
        made["metadata"].pop("resourceVersion", None)
        return self._create(resource, made, namespace, part, options, owned=True), True

    def delete(
        self, resource: Resource, name: str, *, namespace: str = "", options: DeleteOptions = _DEFAULT_DELETE
    ) -> tuple[Stored, bool]:
        """Delete an object, or mark it for deletion if it has finalizers.

        Args:
            resource: Its resource.
            name: Its name.
            namespace: Its namespace.
            options: How to delete.

        Returns:
            The object's last state, in the version of its deletion, and whether it has been removed.

        Raises:
            StatusError: 404 or 409 (a precondition failed).
        """
        current = self.get(resource, namespace, name)
        check_preconditions(resource, current, options)
        table = self.table(resource)
        obj = decode(current.body)
        metadata = obj["metadata"]
        finalizers = finalizers_of_deletion(resource, metadata, options)
        if not finalizers:
            return (current if options.dry_run else self._remove(table, current)), True
        if "deletionTimestamp" in metadata and finalizers == metadata["finalizers"]:
            return current, False
        metadata["finalizers"] = finalizers
        if "deletionTimestamp" not in metadata:
            metadata |= {"deletionTimestamp": self._timestamp(), "deletionGracePeriodSeconds": 0}
            if resource.generation:
                metadata["generation"] = metadata.get("generation", 0) + 1
        return self._put(table, obj, current, WriteOptions(dry_run=options.dry_run)), False

    def _replace(
        self,
        current: Stored,
        resource: Resource,
        obj: Mapping[str, Any],
        part: Part,
        options: WriteOptions,
        *,
        owned: bool = False,
    ) -> Stored:
        """Replace an object by one whose fields have their new owners already, or get them now."""
        old = decode(current.body)
        given, was = obj["metadata"], old["metadata"]
        if given.get("name", current.name) != current.name:
            raise StatusError.bad_request(
                f"the name of the object ({given['name']}) does not match the name on the URL ({current.name})"
            )
        guarded = resource.custom or (resource.guarded and part is not Part.ALL)
        check_same(resource, current, current.name, given, guarded=guarded)
        metadata = _as_given(given)
        metadata |= {key: was[key] for key in _FIXED_METADATA if key in was}
        metadata["resourceVersion"] = was["resourceVersion"]
        if references := metadata.get("ownerReferences") if part is Part.MAIN else None:
            metadata["ownerReferences"] = check_owners(resource, current.name, references)
        made = {"apiVersion": old["apiVersion"], "kind": old["kind"], **obj, "metadata": metadata}
        if resource.status and part is not Part.ALL:
            made = _merge_parts(old, made, part, owned=owned)
        if not owned and (options.manager or is_tracked(old, made)):
            set_owners(made, updated(self._writer(resource, part, options), old, made))
        if is_unchanged(old, made):
            return current
        return self._commit(current, resource, made, old, options)

    def _commit(
        self, current: Stored, resource: Resource, made: dict[str, Any], old: Mapping[str, Any], options: WriteOptions
    ) -> Stored:
        table, metadata = self.table(resource), made["metadata"]
        if resource.generation and content_of(made) != content_of(old):
            metadata["generation"] = metadata.get("generation", 0) + 1
        if resource.gvr == CRD and not options.dry_run:
            self._redefine(made)
        if "deletionTimestamp" not in metadata:
            return self._put(table, made, current, options)
        remaining = metadata.get("finalizers") or ()
        check_finalizers(resource, current.name, old["metadata"].get("finalizers") or (), remaining)
        if remaining:
            return self._put(table, made, current, options)
        # The last finalizer is gone: the answer is the new state in the old version, and watches send the old state in
        # the version of the deletion.
        if not options.dry_run:
            self._remove(table, current)
        return self._stored(resource, made, current.version)

    def _writer(self, resource: Resource, part: Part, options: WriteOptions) -> Writer:
        return Writer(
            resource=resource,
            manager=options.manager,
            time=self._timestamp(),
            subresource=options.subresource,
            status=not resource.status or part is not Part.MAIN,
            rest=not resource.status or part is not Part.STATUS,
        )

    def _put(self, table: Table, obj: dict[str, Any], previous: Stored | None, options: WriteOptions) -> Stored:
        if options.dry_run:
            return self._stored(table.resource, obj, previous.version if previous else 0)
        self.version += 1
        item = self._stored(table.resource, obj, self.version)
        self._apply(table, obj, Change(MODIFIED if previous else ADDED, self.version, item, previous))
        self.dependents.put(table.resource, item, obj["metadata"])
        return item

    def _remove(self, table: Table, previous: Stored) -> Stored:
        """Remove an object, and return it in the version of its deletion."""
        obj = decode(previous.body)
        self.version += 1
        item = self._stored(table.resource, obj, self.version)
        self._apply(table, obj, Change(DELETED, self.version, item, previous))
        self.dependents.remove(table.resource, previous)
        if table.resource.gvr == CRD and (made := self.resources.get(resource_of_crd(obj).gvr)):
            self.remove_resource(made)
        return item

    def _apply(self, table: Table, obj: Mapping[str, Any], change: Change) -> None:
        """Apply a change, which for an Event is one of both resources that serve it."""
        table.apply(change)
        if (gvr := other_events(table.resource.gvr)) and (other := self._tables.get(gvr)):
            item = self._stored(other.resource, as_event_of(other.resource, obj), change.version)
            other.apply(Change(change.type, change.version, item, other.items.get(item.key)))

    def _stored(self, resource: Resource, obj: dict[str, Any], version: int) -> Stored:
        metadata = obj["metadata"]
        if version:  # what has not been written has none
            metadata["resourceVersion"] = str(version)
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        return Stored(
            key=key_of(namespace, name),
            namespace=namespace,
            name=name,
            uid=metadata["uid"],
            version=version,
            body=encode_object(resource, obj),
            labels=dict(metadata.get("labels") or ()),
            fields=fields_of(resource, obj),
        )

    def _owned(self) -> Iterator[tuple[Resource, Stored, Mapping[str, Any]]]:
        """Yield the objects that the garbage collector has to know."""
        for table in self._tables.values():
            for item in table.items.values():
                if b'"ownerReferences"' in item.body or b'"deletionTimestamp"' in item.body:
                    yield table.resource, item, decode(item.body)["metadata"]

    def _new_name(self, table: Table, metadata: Mapping[str, Any], namespace: str) -> str:
        name = str(metadata.get("name") or "")
        prefix = "" if name else metadata.get("generateName") or ""
        for _ in range(_NAMES_TRIED if prefix else 1):
            if prefix:
                name = prefix + "".join(self._rng.choices(_SUFFIX_LETTERS, k=5))
            check_name(table.resource, name)
            if key_of(namespace, name) not in table.items:
                return name
        raise StatusError.already_exists(table.resource, name)

    def _establish(self, crd: dict[str, Any], options: WriteOptions) -> dict[str, Any]:
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
        if self.resources.get(resource.gvr) is None and not options.dry_run:
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

    def _redefine(self, crd: Mapping[str, Any]) -> None:
        """Serve the resource of a CRD that has been changed as it says now; another version is served no sooner."""
        try:
            resource = resource_of_crd(crd)
        except (LookupError, TypeError, AttributeError, StopIteration):
            return
        if self.resources.get(resource.gvr) is not None:
            self.resources.add(resource)
            self.table(resource).redefine(resource)

    def _crds(self) -> Resource:
        return self.resources.resolve(CRD)

    def _timestamp(self) -> str:
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _as_given(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what clients decide of an object's metadata; what is empty is as good as absent, and Go leaves it out."""
    return {
        name: value
        for name, value in metadata.items()
        if name not in _FIXED_METADATA and (value or name not in _OMITTED_IF_EMPTY)
    }


def _merge_parts(old: Mapping[str, Any], made: Mapping[str, Any], part: Part, *, owned: bool) -> dict[str, Any]:
    """Take the part that a write may change from the new object, and the rest from the old one."""
    main, status = (made, old) if part is Part.MAIN else (old, made)
    merged = {name: value for name, value in main.items() if name != "status"}
    if owned:
        merged["metadata"] = dict(merged["metadata"])
        set_owners(merged, made["metadata"].get("managedFields"))
    return merged | ({"status": status["status"]} if "status" in status else {})
