"""Model objects that keep their JSON and decode themselves when they are read. Pure.

A generated model keeps each attribute under a private name, its *slot*: the property ``phase`` returns
``self._phase``. ``models``, beside this, generates subclasses of models whose slots come from JSON. A subclass
has one of three roles:

- :class:`Whole` is an object as it was received: its bytes.
- :class:`Part` is a model directly in a whole, such as its metadata or its status, and waits in the same way.
- :class:`Leaf` is everything below, decoded at once.

The first read of a whole or a part scans it once: what is a plain value is there from then on, of everything else it
is known where it lies. What has been read is kept, and reads after that are those of any Python object.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

__all__ = ["Leaf", "Part", "Slot", "Whole", "default_configuration"]


class _Model:
    """What the roles share. No name of a model's begins with ``_lazy``."""

    __slots__ = ()

    openapi_types: ClassVar[Mapping[str, str]]

    _lazy_restore: ClassVar[Callable[..., Any]]
    """Makes an instance of the class; can be pickled, which a generated class cannot."""

    def __rich_repr__(self) -> Iterator[tuple[str, Any, None]]:
        """Show attributes to the ``rich`` package, which would show how a Struct stores them."""
        for name in self.openapi_types:
            yield name, getattr(self, name), None

    def _lazy_state(self) -> dict[str, Any] | None:
        """Return what a pickle needs of the instance's dict. A configuration holds credentials: it stays here."""
        return {name: value for name, value in vars(self).items() if name != "local_vars_configuration"} or None


class _Lazy(_Model):
    """A model that is decoded as it is read.

    Attributes:
        _lazy_json: Its JSON: the bytes that were given, or a view of its part of them.
        _lazy_given: Slots and values for them where the JSON has none.
        _lazy_level: Once something has been read: a Struct with its slots, each a plain value, None or JSON.
    """

    __slots__ = ("_lazy_given", "_lazy_json", "_lazy_level")

    _lazy_json: bytes | msgspec.Raw
    _lazy_given: tuple[tuple[str, str], ...]
    _lazy_level: Any

    # Both make the level; the first raises `ValidationError` if a value is of another type than the model says.
    _lazy_decode: Callable[[Any], Any]
    _lazy_convert: Callable[[Any], Any]

    def _lazy_scan(self) -> Any:
        try:
            level = self._lazy_decode(self._lazy_json)
        except msgspec.ValidationError:
            level = self._lazy_convert(self._lazy_json)
        for slot, value in self._lazy_given:
            if getattr(level, slot, value) is None:
                setattr(level, slot, value)
        self._lazy_level = level  # the last step: another thread may be here as well, and its level is as good
        return level

    def __reduce__(self) -> tuple[Any, ...]:
        """Make pickles and deep copies from the JSON and from what has been read or assigned."""
        return self._lazy_restore, (bytes(self._lazy_json), self._lazy_given), self._lazy_state()

    def __copy__(self) -> Any:
        """Return an object that shares what this one refers to, as a shallow copy does; so that is decoded first."""
        for name in self.openapi_types:
            getattr(self, name)
        twin = self._lazy_restore(self._lazy_json, self._lazy_given)
        vars(twin).update(vars(self))
        return twin


class Whole(_Lazy):
    """An object as it was received."""

    __slots__ = ()


class Part(_Lazy):
    """A model that is the value of an attribute of a whole."""

    __slots__ = ()


class Leaf(_Model):
    """A model further below: a Struct whose fields are the slots. msgspec fills them without a line of Python."""

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
    """A slot of a whole or a part: takes its value from the level when it is read for the first time.

    Without a ``__set__``, Python asks it only as long as the instance's dict does not have the name. It stores by
    ``dict.setdefault``, which is atomic: an assignment that came first wins, and threads that read at the same time
    get the same object.
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
    """Stands for the default ``Configuration`` of a client package; resolves it whenever it is asked.

    Setters of models ask it whether to validate. All models share it.
    """

    __slots__ = ("_package",)

    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle probe for protocols; the configuration's are not ours
            raise AttributeError(name)
        module = importlib.import_module(f"{self._package}.configuration")
        return getattr(module.Configuration.get_default(), name)

    def __repr__(self) -> str:
        return f"<default configuration of {self._package}>"


@functools.cache
def default_configuration(package: str) -> Any:
    """Return the stand-in for the default configuration of a client package, one per package."""
    return _DefaultConfiguration(package)
