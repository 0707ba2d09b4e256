"""Base classes of model objects that keep their JSON and decode it when an attribute is read. Pure.

A generated model keeps each attribute under a private name, its *slot*: the property ``phase`` returns
``self._phase``. The module ``models`` generates subclasses of models whose slots come from JSON. A subclass
has one of three roles:

- :class:`Whole` is a complete object, and keeps the bytes that were received.
- :class:`Part` is a model directly in a whole, such as its metadata or status, and keeps its part of the JSON.
- :class:`Leaf` is any model below, and is decoded at once.

The first read of a whole or a part scans its JSON once: plain values are decoded, of others the raw JSON is remembered.
Values that have been read are kept, so that later reads are ordinary attribute accesses.
"""

from __future__ import annotations

import copy
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, TypeAlias

import msgspec

from aioinformers.objects.documents import steady
from aioinformers.objects.levels import Levels, Scanned
from aioinformers.objects.spans import Spans

__all__ = [
    "PART_FIELDS", "UNENCODABLE", "WHOLE_FIELDS", "Leaf", "Make", "Part", "Slot", "View", "Whole",
    "default_configuration", "kept_slot", "level_decoder", "part_slot", "plain_slot",
]  # fmt: skip


class _Model:
    """Base of the three roles. Its names begin with ``_lazy``, which no attribute of a model does."""

    __slots__ = ()

    openapi_types: ClassVar[Mapping[str, str]]

    _lazy_restore: ClassVar[Callable[..., Any]]
    """Creates an instance of the class; picklable, unlike a generated class."""

    def __rich_repr__(self) -> Iterator[tuple[str, Any, None]]:
        """Yield the attributes for the package ``rich``, which would otherwise show the fields of the Struct."""
        for name in self.openapi_types:
            yield name, getattr(self, name), None

    def _lazy_state(self) -> dict[str, Any] | None:
        """Return the instance's dict for a pickle, without the configuration, which may contain credentials."""
        state = vars(self).copy()  # whole, whatever other threads read meanwhile and so add to the instance's dict
        return {name: value for name, value in state.items() if name != "local_vars_configuration"} or None


def level_decoder(part: Any) -> Callable[[Any], Any]:
    """Return what makes the level of a class of parts."""
    decode: Callable[[Any], Any] = part._lazy_decode
    return decode


class View(msgspec.Struct, gc=False):
    """What all objects of an informer are shown with; it keeps them out of sight of the garbage collector.

    Attributes:
        given: Slots and the values that they get if the JSON has none for them.
        levels: Keeps levels for other readers of the same version.
    """

    given: tuple[tuple[str, str], ...]
    levels: Levels


HAS_GIL: Final[bool] = getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether one thread at a time runs Python code."""

UNENCODABLE: Final = object()
"""Stands in each shell, so that msgspec fails to encode one instead of writing what is inside."""

WHOLE_FIELDS: Final = ("_lazy_entry", "_lazy_view", "_lazy_json", "_lazy_level", "_lazy_kept", "_lazy_guard")
PART_FIELDS: Final = ("_lazy_json", "_lazy_level", "_lazy_home", "_lazy_place", "_lazy_kept", "_lazy_guard")
"""The fields of the Structs that shells are; what has been decoded or assigned is in their ``__dict__``."""


_first = threading.Lock()
"""Held while the first value of a slot is kept, or another is assigned: all threads see the same one."""


class _Lazy(_Model):
    """A model that decodes its JSON when it is read: a shell, a Struct.

    Attributes:
        _lazy_json: The JSON: the received bytes, or a view of a part of them; or None.
        _lazy_level: None before the first read, then a Struct of the slots: plain values, None or raw JSON. Nobody
            changes it, as it may serve others, too; a shell that is changed gets a copy of its own.
        _lazy_kept: The shell's ``__dict__`` once there is something in it: assigned to a field, it shows the shell to
            the garbage collector, which is not shown shells that nobody has read.
        _lazy_guard: Cannot be encoded.
    """

    __slots__ = ()

    __struct_fields__: ClassVar[tuple[str, ...]]

    _lazy_json: Any
    _lazy_level: Any
    _lazy_kept: Any

    # Both create the level. `_lazy_decode` raises `ValidationError` if a value does not have the model's type;
    # `_lazy_convert` also tells whether others may have it: not if there is something in it that can be changed.
    _lazy_decode: Callable[[Any], Any]
    _lazy_convert: Callable[[Any], tuple[Any, bool]]

    @property
    def _lazy_given(self) -> tuple[tuple[str, str], ...]:
        """Slots and the values that they get if the JSON has none for them."""
        return ()

    def _lazy_raw(self) -> Any:
        raise NotImplementedError

    def _lazy_scan(self) -> Any:
        raise NotImplementedError

    def _lazy_scanned(self, raw: Any) -> tuple[Any, bool]:
        """Return a new level of some JSON, and whether others may have it, too."""
        is_shared = True
        try:
            level = self._lazy_decode(raw)
        except (msgspec.ValidationError, RecursionError):
            level, is_shared = self._lazy_scanned_slowly(raw)
        for slot, value in self._lazy_given:
            if getattr(level, slot, value) is None:
                setattr(level, slot, value)
        return level, is_shared

    def _lazy_scanned_slowly(self, raw: Any) -> tuple[Any, bool]:
        try:
            return steady(self._lazy_decode, raw), True
        except msgspec.ValidationError:
            return self._lazy_convert(raw)

    def _lazy_begin(self, level: Any) -> Any:
        """Take a level that is complete; return the one that counts: another thread may have assigned something."""
        with _first:
            if self._lazy_level is None:
                self._lazy_level = level
            return self._lazy_level

    def _lazy_assign(self, slot: str, value: Any) -> None:
        """Change a plain value: of this shell alone."""
        level = self._lazy_level
        if level is None:
            self._lazy_scan()
        with _first:  # others may assign, too
            own = copy.copy(self._lazy_level)
            setattr(own, slot, value)
            kept = self._lazy_kept = vars(self)
            kept[slot] = value
            self._lazy_level = own

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the JSON and the values that have been read or assigned, for pickles and deep copies."""
        return self._lazy_restore, (bytes(self._lazy_raw()), self._lazy_given), self._lazy_state()

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def __copy__(self) -> Any:
        """Return a shallow copy. All attributes are decoded first, so that both objects share their values."""
        for name in self.openapi_types:
            getattr(self, name)
        twin = self._lazy_restore(self._lazy_raw(), self._lazy_given)
        twin._lazy_level = self._lazy_level
        vars(twin).update(vars(self))
        twin.__setstate__(self._lazy_state() or {})
        return twin


class Whole(_Lazy):
    """A complete object as it was received. Its ``_lazy_json`` may also be what its bytes have been scanned into.

    Attributes:
        _lazy_entry: The stored entry that it shows, or None.
        _lazy_view: What all are shown with.
        _lazy_fields: The field of each slot whose values can be changed.
        _lazy_makers: What makes such values.
    """

    __slots__ = ()

    _lazy_entry: Any
    _lazy_view: View
    _lazy_fields: ClassVar[Mapping[str, str]]
    _lazy_makers: ClassVar[Mapping[str, Make]]

    def _lazy_first(self, slot: str, field: str) -> Any:
        """Return the value of a slot that has not been read; keep it, unless another thread has been quicker."""
        level = self._lazy_level
        value = getattr(self._lazy_scan() if level is None else level, slot)
        if value.__class__ is msgspec.Raw:
            value = self._lazy_makers[slot](self, value)
        with _first:
            known = getattr(self, field)
            if known is msgspec.UNSET:
                setattr(self, field, value)
                return value
        return known

    def _lazy_state(self) -> dict[str, Any] | None:
        state = super()._lazy_state() or {}
        kept = {slot: getattr(self, field) for slot, field in self._lazy_fields.items()}
        return state | {slot: value for slot, value in kept.items() if value is not msgspec.UNSET} or None

    @property
    def _lazy_given(self) -> tuple[tuple[str, str], ...]:
        return self._lazy_view.given

    def _lazy_raw(self) -> Any:
        json = self._lazy_entry.body if self._lazy_json is None else self._lazy_json
        return json.raw if json.__class__ is Scanned else json

    def _lazy_scans(self) -> Scanned:
        """Return where the levels of this version are kept: for all of its readers, if it is stored."""
        json, entry = self._lazy_json, self._lazy_entry
        if json.__class__ is not Scanned:
            if entry is None:
                json = Scanned(json)
            else:
                json = entry.body
                if json.__class__ is not Scanned:
                    json = self._lazy_view.levels.share(entry, json)
            self._lazy_json = json
        json.is_used = True
        scanned: Scanned = json
        return scanned

    def _lazy_scan(self) -> Any:
        home = self._lazy_scans()
        level = home.level
        if level is None:
            level, is_shared = self._lazy_scanned(home.raw)
            if is_shared:
                home.level = level
        return self._lazy_begin(level)


class Part(_Lazy):
    """A model that is the value of an attribute of a :class:`Whole`. Without JSON it has that of its level.

    Attributes:
        _lazy_home: What its object has been scanned into, if the level is to be kept there.
        _lazy_place: Its slot there.
    """

    __slots__ = ()

    _lazy_home: Scanned | None
    _lazy_place: str

    def _lazy_raw(self) -> Any:
        return self._lazy_level.raw if self._lazy_json is None else self._lazy_json

    def _lazy_scan(self) -> Any:
        home = self._lazy_home
        level, is_shared = self._lazy_scanned(self._lazy_json)
        level.raw = self._lazy_json
        if home is not None and is_shared:
            home.keep(self._lazy_place, level)
        return self._lazy_begin(level)


class Leaf(_Model):
    """A model below a part: a Struct whose fields are the slots, which msgspec fills without running Python code."""

    __slots__ = ()

    __struct_fields__: ClassVar[tuple[str, ...]]

    def __reduce__(self) -> tuple[Any, ...]:
        return self._lazy_restore, (self._lazy_fields(),), self._lazy_state()

    def __copy__(self) -> Any:
        twin = self._lazy_restore(self._lazy_fields())
        vars(twin).update(vars(self))
        return twin

    def _lazy_fields(self) -> dict[str, Any]:
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}


class Slot:
    """The descriptor of a slot whose values can be changed: it takes the value from the level at the first read.

    It has no ``__set__``, so Python calls it only while the instance's dict lacks the name. It stores with
    ``dict.setdefault``, which is atomic: an earlier assignment takes precedence, and reads in several threads at a time
    return the same object.

    Args:
        name: The name of the slot.
        read: Decodes the slot's raw JSON.
    """

    __slots__ = ("_name", "_read")

    def __init__(self, name: str, read: Callable[[msgspec.Raw], Any]) -> None:
        self._name = name
        self._read = read

    def __get__(self, model: Any, owner: type | None = None) -> Any:
        if model is None:
            return self
        level = model._lazy_level
        if level is None:
            level = model._lazy_scan()
        value = getattr(level, self._name)
        if value.__class__ is msgspec.Raw:
            value = self._read(value)
        kept = model._lazy_kept = model.__dict__
        return kept.setdefault(self._name, value)


Make: TypeAlias = Callable[[Any, msgspec.Raw], Any]
"""Makes the value of a slot of its raw JSON; it is given the whole, too."""


def kept_slot(slot: str, field: str) -> property:
    """Return the property of a whole's slot whose values can be changed: each shell keeps its own in a field.

    Args:
        slot: The name of the slot.
        field: The field of the shell's Struct.
    """
    return _property(
        f"""
def get(self):
    value = self.{field}
    return self._lazy_first({slot!r}, {field!r}) if value is UNSET else value
def set(self, value):
    self.{field} = value
"""
    )


def part_slot(slot: str, field: str, find: Callable[[], Any], spans: Spans) -> tuple[property, Make]:
    """Return the property of a whole's slot whose value is a part, and what makes a part of the level of the whole.

    Where the level of the part is there already, or can be found, the property makes a part of it by itself. That it
    keeps the part of another thread, where there is one, rests on threads not being switched between the last look and
    the assignment, as nothing is called in between; without a GIL ``_lazy_first`` does it.

    Args:
        slot: The name of the slot.
        field: The field of the shell's Struct.
        find: Returns the class of the part, when the first is made.
        spans: Finds levels of parts.
    """
    names: dict[str, Any] = {"UNSET": msgspec.UNSET, "Scanned": Scanned, "level_of": spans.level, "part": None}

    def part() -> Any:
        names["part"] = names["part"] or find()
        return names["part"]

    def make(whole: Any, raw: msgspec.Raw) -> Any:
        if len(raw) == 4 and bytes(raw) == b"null":
            return None
        home = whole._lazy_scans()
        if home.level is None:  # the level is this reader's alone, and so are those of its parts
            return part()(raw)
        inner = home.part(slot)
        return part()(raw, None, home, slot) if inner is None else part()(None, inner)

    names["part_class"] = part
    found = f"home.{slot}" if slot in Scanned.__struct_fields__ else f"home.part({slot!r})"
    quick = f"""
        home = self._lazy_json
        if home.__class__ is not Scanned:
            entry = self._lazy_entry
            if entry is not None and entry.body.__class__ is Scanned:
                home = self._lazy_json = entry.body
            if home.__class__ is not Scanned:
                home = self._lazy_scans()
        home.is_used = True
        inner = {found}
        if inner is None and home.level is None:
            inner = level_of(home, {slot!r})
        if inner is not None:
            value = (part or part_class())(None, inner)
            known = self.{field}
            if known is UNSET:
                self.{field} = value
                return value
            return known"""
    source = f"""
def get(self):
    value = self.{field}
    if value is UNSET:{quick if HAS_GIL else ""}
        value = self._lazy_first({slot!r}, {field!r})
    return value
def set(self, value):
    self.{field} = value
"""
    return _property(source, names), make


def _property(source: str, names: dict[str, Any] | None = None) -> property:
    """Return a property out of the source of ``get`` and ``set``: no generic code is as fast."""
    made: dict[str, Any] = {"UNSET": msgspec.UNSET} if names is None else names
    exec(source, made)  # safe: it contains names of attributes of the client's own code, which are identifiers
    return property(made["get"], made["set"])


def plain_slot(name: str) -> property:
    """Return the property of a slot of plain values: they are read from the level, and nothing is kept per shell.

    Args:
        name: The name of the slot.
    """
    return _property(
        f"""
def get(self):
    level = self._lazy_level
    if level is None:
        level = self._lazy_scan()
    return level.{name}
def set(self, value):
    self._lazy_assign({name!r}, value)
"""
    )


class _DefaultConfiguration:
    """Stands for the default ``Configuration`` of a client package, and looks it up at each access.

    Setters of models read from it whether to validate. All models share it.
    """

    __slots__ = ("_package",)

    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle look for special methods; those of the configuration do not apply
            raise AttributeError(name)
        module = importlib.import_module(f"{self._package}.configuration")
        return getattr(module.Configuration.get_default(), name)

    def __repr__(self) -> str:
        return f"<default configuration of {self._package}>"


@functools.cache
def default_configuration(package: str) -> Any:
    """Return the stand-in for the default configuration of a client package; always the same one per package.

    Args:
        package: The client's package, such as ``kubernetes_asyncio.client``.
    """
    return _DefaultConfiguration(package)
