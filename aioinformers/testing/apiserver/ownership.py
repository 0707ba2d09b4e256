"""Who owns which field: what an update or a server-side apply makes of ``managedFields``. Pure.

An apply owns what it sets; it removes what it set before and sets no longer, unless others own it as well, and it
conflicts with others who own a field that it changes. An update takes the fields that it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from aioinformers.testing.apiserver.fieldsets import FieldSet, field_element, path_text
from aioinformers.testing.apiserver.jsonpatch import is_same
from aioinformers.testing.apiserver.merging import Comparison, check, compare, fields_in, merge, named, nulls_in, remove
from aioinformers.testing.apiserver.resources import Resource
from aioinformers.testing.apiserver.schemas import Shape, shape_of
from aioinformers.testing.apiserver.status import StatusError

__all__ = ["Writer", "apply", "is_tracked", "is_unchanged", "set_owners", "updated"]

_APPLY, _UPDATE = "Apply", "Update"
_BEFORE_FIRST_APPLY = "before-first-apply"
_ANCIENT = "ancient-changes"
_SCALE_VERSION = "autoscaling/v1"  # in which a scale sees all entries
_MOST_UPDATES = 10  # entries of updates, before the oldest are put together

_UNOWNED = FieldSet.of(
    *((field_element(name),) for name in ("apiVersion", "kind", "metadata")),
    *(
        (field_element("metadata"), field_element(name))
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
            "resourceVersion",
        )
    ),
)  # fmt: skip
"""Fields that belong to nobody."""


class _Name(NamedTuple):
    """What tells an entry of ``managedFields`` apart; an apply has no version here."""

    manager: str
    operation: str
    api_version: str
    subresource: str


@dataclass(frozen=True, slots=True)
class _Entry:
    api_version: str
    fields: FieldSet
    time: str | None = None


_Entries: TypeAlias = dict[_Name, _Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes an object, and which part of it.

    Attributes:
        resource: The object's resource.
        manager: The name of who writes.
        time: The time of the write.
        subresource: The subresource that is written, or ``""``.
        status: Whether the write may change the status.
        rest: Whether it may change anything else.
    """

    resource: Resource
    manager: str
    time: str
    subresource: str = ""
    status: bool = True
    rest: bool = True
    shape: Shape = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", shape_of(self.resource))

    def name(self, operation: str, manager: str = "") -> _Name:
        """Return what tells the entry of this writer, or of another one that writes the same, apart."""
        version = self.resource.gvr.api_version if operation == _UPDATE else ""
        return _Name(manager or self.manager or "unknown", operation, version, self.subresource)

    def kept(self, fields: FieldSet) -> FieldSet:
        """Return the fields that the write may change."""
        status = field_element("status")
        if not self.status:
            return fields.without(FieldSet({status}))
        return fields if self.rest else fields.only(status)

    def comparison(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
        """Return the changes that the write may make."""
        found = compare(self.shape, old, new)
        return Comparison(*map(self.kept, (found.added, found.modified, found.removed)))


# -- updates ---------------------------------------------------------------------------------------


def updated(writer: Writer, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the ``managedFields`` after an update, which may have set some itself; None for none.

    Args:
        writer: Who writes.
        old: The object before; None if it is new.
        new: The object after.
    """
    entries = _decoded(old, new, ignores_new=bool(writer.subresource))
    if not entries and old is not None:
        return None  # nobody has been tracked so far
    current = writer.name(_UPDATE, "current-operation")
    entries = _after_update(writer, old or {}, new, entries, current)
    if taken := entries.pop(current, None):
        name = writer.name(_UPDATE)
        if name in entries:
            taken = replace(taken, fields=taken.fields | entries[name].fields)
        entries[name] = replace(taken, time=writer.time)
    return _encoded(_capped(entries))


def _decoded(old: Mapping[str, Any] | None, new: Mapping[str, Any], *, ignores_new: bool) -> _Entries:
    """Return the entries that an update begins with: those that it sets, and otherwise those that were there."""
    there = (old or {"metadata": {}})["metadata"].get("managedFields")
    given = new["metadata"].get("managedFields")
    if not ignores_new and given is not None:
        if given in ([], [{}]):
            return {}  # it wants to have none
        if entries := _decode(given):
            return entries
    return _decode(there)


def _after_update(
    writer: Writer, old: Mapping[str, Any], new: Mapping[str, Any], entries: _Entries, name: _Name
) -> _Entries:
    """Take what an update has changed from everybody else, and give it to an entry."""
    comparison = writer.comparison(old, new)
    entries = _settle(comparison, entries, name)
    mine = entries[name].fields if name in entries else FieldSet()
    mine = writer.kept((mine - comparison.removed) | comparison.modified | comparison.added) - _UNOWNED
    return entries | {name: _Entry(writer.resource.gvr.api_version, mine)} if mine else entries


def _capped(entries: _Entries) -> _Entries:
    """Put the oldest entries of updates together, if there are too many."""
    updates = [name for name in entries if name.operation == _UPDATE]
    oldest = sorted(updates, key=lambda name: (entries[name].time or "", name))
    left, first = len(updates), dict[str, _Name]()
    for name in oldest:
        if left <= _MOST_UPDATES:
            break
        entry = entries[name]
        if entry.api_version not in first:
            first[entry.api_version] = name
            continue
        bucket = _Name(_ANCIENT, _UPDATE, entry.api_version, "")
        if bucket not in entries:
            entries[bucket] = entries.pop(first[entry.api_version])
        entries[bucket] = replace(entry, fields=entry.fields | entries[bucket].fields)
        del entries[name]
        left -= 1
    return entries


# -- applies ---------------------------------------------------------------------------------------


def apply(
    writer: Writer, live: Mapping[str, Any] | None, config: Mapping[str, Any], *, force: bool
) -> tuple[dict[str, Any], list[dict[str, Any]] | None]:
    """Return the object and its ``managedFields`` after a server-side apply.

    Args:
        writer: Who applies.
        live: The object; None if there is none yet.
        config: What is applied.
        force: Whether to take the fields of others.

    Raises:
        StatusError: 409 if others own fields that would change; 500 if what is applied is no object of the kind.
    """
    shape, name = writer.shape, writer.name(_APPLY)
    if problems := check(shape, config):
        raise _untyped(writer, config, problems)
    entries = {} if live is None else _decode(live["metadata"].get("managedFields"))
    before = {} if live is None else dict(live)
    if live is not None and not entries:
        first = writer.name(_UPDATE, _BEFORE_FIRST_APPLY)
        tracked = _after_update(writer, {}, live, {}, first)
        entries = {known: replace(entry, time=writer.time) for known, entry in tracked.items()}
    last = entries.get(name)
    applied = _Entry(
        writer.resource.gvr.api_version, writer.kept(fields_in(shape, config)), last.time if last else None
    )
    entries[name] = applied
    merged = merge(shape, before, config)
    if last is not None and last.fields:
        merged = _pruned(shape, merged, entries.values(), last.fields)
    others = _SCALE_VERSION if writer.subresource == "scale" else ""
    entries = _settle(writer.comparison(before, merged), entries, name, force=force, version=others)
    if name in entries:
        mine = entries[name].fields - _UNOWNED
        changed = not is_same(before, merged)
        entries |= {name: replace(applied, fields=mine, time=writer.time if changed else applied.time)}
        if not mine:
            del entries[name]
    _check_nulls(writer, config, merged)
    return merged, _encoded(entries)


def _check_nulls(writer: Writer, config: Mapping[str, Any], merged: Mapping[str, Any]) -> None:
    """Refuse what kube-apiserver makes of a part whose last field is removed while somebody owns the part: null."""
    found = nulls_in(writer.shape, merged)
    if writer.status and not writer.rest:
        found = [(path, kind) for path, kind in found if path.startswith("status")]
    elif not writer.status:
        found = [(path, kind) for path, kind in found if not path.startswith("status")]
    if found:
        causes = [
            (path, "FieldValueTypeInvalid", f'Invalid value: "null": {path} in body must be of type {kind}: "null"')
            for path, kind in found
        ]
        name = (config.get("metadata") or {}).get("name", "")
        raise StatusError.invalid(writer.resource, name, causes)


def _pruned(shape: Shape, merged: dict[str, Any], entries: Iterable[_Entry], last: FieldSet) -> dict[str, Any]:
    """Return a merged object without what its applier set before, unless it is still owned by somebody."""
    last, everything = named(shape, last), named(shape, fields_in(shape, merged))
    owned = FieldSet()
    for entry in entries:
        owned |= entry.fields
    left = named(shape, fields_in(shape, remove(shape, merged, last)))
    kept = remove(shape, merged, everything - (left | named(shape, owned)))
    left = named(shape, fields_in(shape, kept))
    return remove(shape, merged, (everything - left) & last) or {}


def _untyped(writer: Writer, config: Mapping[str, Any], problems: list[str]) -> StatusError:
    metadata, group_version = config.get("metadata") or {}, writer.resource.gvr.api_version
    kind = f"{group_version if '/' in group_version else '/' + group_version}, Kind={writer.resource.kind}"
    where = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {kind}"
    text = problems[0] if len(problems) == 1 else "\n  ".join(["errors:", *problems])
    return StatusError(500, "", f"failed to create typed patch object ({where}): {text}")


def is_unchanged(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether two objects are the same but for the times of their ``managedFields``."""
    return _without_times(old) == _without_times(new)


def is_tracked(old: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Tell whether an object has owners, which a write by Python code has not set itself."""
    there, given = (obj["metadata"].get("managedFields") for obj in (old, made))
    return bool(there) and given in (None, there)


def set_owners(obj: dict[str, Any], owners: list[dict[str, Any]] | None) -> None:
    """Give an object other ``managedFields``, or none; its metadata become new ones."""
    metadata = obj["metadata"] = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    if owners:
        metadata["managedFields"] = owners


def _without_times(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    entries = obj["metadata"].get("managedFields")
    if not isinstance(entries, list):
        return obj
    timeless = [{name: value for name, value in entry.items() if name != "time"} for entry in entries]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": timeless}}


# -- entries ---------------------------------------------------------------------------------------


def _settle(
    comparison: Comparison, entries: _Entries, name: _Name, *, force: bool = True, version: str = ""
) -> _Entries:
    """Return the entries after a change: what it has set belongs to one alone, what it has removed to nobody.

    Args:
        comparison: The change.
        entries: The entries before.
        name: That of who has made the change.
        force: Whether it may take what others own.
        version: The version that others are said to have written, if not their own.

    Raises:
        StatusError: 409 if others own what it has set, unless it is forced.
    """
    set_ = comparison.modified | comparison.added
    others = {other: entry.fields & set_ for other, entry in entries.items() if other != name}
    if not force and any(others.values()):
        raise _conflict({other: fields for other, fields in others.items() if fields}, version)
    settled = {}
    for other, entry in entries.items():
        fields = entry.fields if other == name else entry.fields - set_ - comparison.removed
        if fields:
            settled[other] = replace(entry, fields=fields)
    return settled


def _conflict(conflicts: Mapping[_Name, FieldSet], version: str) -> StatusError:
    names = {name: _shown(name, version or name.api_version) for name in sorted(conflicts)}
    found = [(names[name], path_text(path)) for name in names for path in conflicts[name].paths()]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": where} for who, where in found
    ]
    if len(found) == 1:
        ((who, where),) = found
        message = f"Apply failed with 1 conflict: conflict with {who}: {where}"
    else:
        lines = [
            line
            for name, who in names.items()
            for line in (f"conflicts with {who}:", *(f"- {path_text(path)}" for path in conflicts[name].paths()))
        ]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return StatusError(409, "Conflict", message, details={"causes": causes})


def _shown(name: _Name, version: str) -> str:
    """Return an entry as messages name it."""
    who = f'"{name.manager}"' + (f' with subresource "{name.subresource}"' if name.subresource else "")
    return f"{who} using {version}" if name.operation == _UPDATE else who


def _decode(given: Any) -> _Entries:
    """Read ``managedFields``; empty if they cannot be read, as kube-apiserver has it."""
    entries: _Entries = {}
    for each in given if isinstance(given, list) else ():
        if not isinstance(each, Mapping) or each.get("operation") not in (_APPLY, _UPDATE):
            return {}
        version = each.get("apiVersion")
        if not version or each.get("fieldsType") != "FieldsV1":
            return {}
        operation = each["operation"]
        identifying = version if operation == _UPDATE else ""
        name = _Name(each.get("manager", ""), operation, identifying, each.get("subresource", ""))
        entries[name] = _Entry(version, FieldSet.from_json(each.get("fieldsV1") or {}), each.get("time"))
    return entries


def _encoded(entries: _Entries) -> list[dict[str, Any]] | None:
    """Return ``managedFields`` in their order; None without entries."""

    def order(item: tuple[_Name, _Entry]) -> tuple[str, ...]:
        name, entry = item
        return name.operation, entry.time or "", name.manager, entry.api_version, name.subresource

    documents = []
    for name, entry in sorted(entries.items(), key=order):
        document: dict[str, Any] = {"manager": name.manager, "operation": name.operation}
        document["apiVersion"] = entry.api_version
        if entry.time:
            document["time"] = entry.time
        document |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_json()}
        if name.subresource:
            document["subresource"] = name.subresource
        documents.append(document)
    return documents or None
