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

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from aioinformers.objects.documents import steady

__all__ = ["Leaf", "Part", "Slot", "Whole", "default_configuration", "maker"]


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


class _Lazy(_Model):
    """A model that decodes its JSON when it is read.

    Attributes:
        _lazy_json: The JSON: the received bytes, or a view of a part of them.
        _lazy_given: Slots and the values that they get if the JSON has none for them.
        _lazy_level: None before the first read, then a Struct of the slots: plain values, None or raw JSON.
    """

    __slots__ = ("_lazy_given", "_lazy_json", "_lazy_level")

    _lazy_json: bytes | msgspec.Raw
    _lazy_given: tuple[tuple[str, str], ...]
    _lazy_level: Any

    # Both create the level; `_lazy_decode` raises `ValidationError` if a value does not have the model's type.
    _lazy_decode: Callable[[Any], Any]
    _lazy_convert: Callable[[Any], Any]

    def _lazy_scan(self) -> Any:
        try:
            level = self._lazy_decode(self._lazy_json)
        except (msgspec.ValidationError, RecursionError):
            level = self._lazy_scan_slowly()
        for slot, value in self._lazy_given:
            if getattr(level, slot, value) is None:
                setattr(level, slot, value)
        self._lazy_level = level  # the last step, so that other threads see complete levels only; theirs are equal
        return level

    def _lazy_scan_slowly(self) -> Any:
        try:
            return steady(self._lazy_decode, self._lazy_json)
        except msgspec.ValidationError:
            return self._lazy_convert(self._lazy_json)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the JSON and the values that have been read or assigned, for pickles and deep copies."""
        return self._lazy_restore, (bytes(self._lazy_json), self._lazy_given), self._lazy_state()

    def __copy__(self) -> Any:
        """Return a shallow copy. All attributes are decoded first, so that both objects share their values."""
        for name in self.openapi_types:
            getattr(self, name)
        twin = self._lazy_restore(self._lazy_json, self._lazy_given)
        vars(twin).update(vars(self))
        return twin


class Whole(_Lazy):
    """A complete object as it was received."""

    __slots__ = ()


class Part(_Lazy):
    """A model that is the value of an attribute of a :class:`Whole`."""

    __slots__ = ()


def maker(generated: type[_Lazy]) -> Callable[..., Any]:
    """Return the function that makes instances of a whole or a part.

    It is given the JSON, and optionally slots and the values that they get if the JSON has none for them.

    Args:
        generated: The generated class.
    """
    new = object.__new__

    def make(raw: bytes | msgspec.Raw, given: tuple[tuple[str, str], ...] = ()) -> Any:
        instance = new(generated)
        instance._lazy_json = raw
        instance._lazy_given = given
        instance._lazy_level = None
        return instance

    return make


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
    """The descriptor of a slot of a whole or a part, which takes the value from the level at the first read.

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
        return model.__dict__.setdefault(self._name, value)


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
