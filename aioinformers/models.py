"""JSON bytes to the client's generated models, without ``ApiClient.deserialize``.

``deserialize`` interprets type names with regular expressions for every field of every object and runs validating
setters: about a millisecond for a Pod, and an exception for one that lacks what the model calls required. Here each
class is compiled once, from its own ``openapi_types`` and ``attribute_map``, to a table *JSON name → (slot, plain
type, conversion)*; an object is made by filling a copy of the dict that the class's constructor makes.

The result equals what ``deserialize`` gives in every attribute, where that does not raise. On purpose it differs in:

- A missing, unknown or null field never raises, and a value that cannot be converted is kept as it came.
- Times have ``datetime.timezone`` zones, not dateutil's (equal moments compare equal).
- ``local_vars_configuration`` is a stand-in for the default ``Configuration``. Setters work with it, and a pickle
  carries its name instead of the configuration with its credentials.

The client is never imported here: a model class that somebody hands in has brought it along.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any, TypeAlias, TypeVar

import msgspec

__all__ = ["model_decoder"]

T = TypeVar("T")
Convert: TypeAlias = Callable[[Any], Any]

_decode_json = msgspec.json.Decoder().decode


def model_decoder(model_class: type[T], *, kind: str = "", api_version: str = "") -> Callable[[bytes], T]:
    """Return the function that makes instances of a generated model from JSON bytes.

    Args:
        model_class: A model such as ``V1Pod``, or a subclass of one. It is compiled at the first call.
        kind: Fills the object's kind where it is absent, as it is in the items of a list.
        api_version: Fills the object's apiVersion likewise.

    Raises:
        TypeError: If the class is no generated model.
    """
    make = _compiled(model_class)
    defaults = {"kind": kind, "apiVersion": api_version}

    def decode(raw: bytes) -> T:
        """Make the model; raises ``msgspec.DecodeError`` if the bytes are no JSON."""
        document = _decode_json(raw)
        if isinstance(document, dict):
            for name, value in defaults.items():
                if value and document.get(name) is None:
                    document[name] = value
        instance: T = make(document)
        return instance

    return decode


class _DefaultConfiguration:
    """Stands for the default ``Configuration`` of a client package; resolves it whenever it is asked.

    Setters of models ask it whether to validate. It is shared by all models and copied and pickled by name.
    """

    __slots__ = ("_package",)

    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle probe for protocols; the configuration's are not ours
            raise AttributeError(name)
        module = importlib.import_module(f"{self._package}.configuration")
        return getattr(module.Configuration.get_default(), name)

    def __reduce__(self) -> tuple[Callable[[str], _DefaultConfiguration], tuple[str]]:
        return _default_configuration, (self._package,)

    def __repr__(self) -> str:
        return f"<default configuration of {self._package}>"


@functools.cache
def _default_configuration(package: str) -> _DefaultConfiguration:
    """Return the stand-in for the default configuration of a client package, one per package."""
    return _DefaultConfiguration(package)


_makers: dict[type, Convert] = {}
_compiling = threading.RLock()  # readers may be in other threads; a half-filled table would lose fields


def _compiled(model_class: type) -> Convert:
    make = _makers.get(model_class)
    if make is None:
        with _compiling:
            compiler = _Compiler()
            make = compiler.maker(model_class)
            _makers.update(compiler.makers)  # all of them are complete only now: models refer to each other
    return make


class _Compiler:
    """Compiles a model class and every class it refers to."""

    def __init__(self) -> None:
        self.makers: dict[type, Convert] = {}

    def maker(self, model_class: type) -> Convert:
        """Return the function from a JSON value to an instance; the table behind it may still be filling."""
        if done := _makers.get(model_class) or self.makers.get(model_class):
            return done
        owner = next((base for base in model_class.__mro__ if "openapi_types" in vars(base)), None)
        if owner is None:
            raise TypeError(f"{model_class.__name__} is no generated model: it has no openapi_types")
        models = sys.modules[owner.__module__.rpartition(".")[0]]
        state = _initial_state(owner, models.__name__.rpartition(".")[0])
        table: dict[str, tuple[str, type | None, Convert]] = {}
        make = self.makers[model_class] = _maker(model_class, state, table)
        types: Mapping[str, str] = owner.openapi_types  # type: ignore[attr-defined]  # that is how it was found
        names: Mapping[str, str] = owner.attribute_map  # type: ignore[attr-defined]
        for attribute, type_name in types.items():
            slot = _slot(owner, attribute)
            assert slot in state, f"{owner.__name__}.{attribute} is not stored in {slot}"
            table[names[attribute]] = (slot, *self._conversion(type_name, models))
        return make

    def _conversion(self, type_name: str, models: object) -> tuple[type | None, Convert]:
        """Return the type of values that are right as they are, and the conversion of others."""
        if type_name in _SCALARS:
            return _SCALARS[type_name]
        if match := _LIST.fullmatch(type_name):
            return None, _list_of(*self._conversion(match[1], models))
        if match := _DICT.fullmatch(type_name):
            return None, _dict_of(*self._conversion(match[1], models))
        return None, self.maker(getattr(models, type_name))


_LIST = re.compile(r"list\[(.*)\]")
_DICT = re.compile(r"dict\([^,]*, (.*)\)")


def _slot(owner: type, attribute: str) -> str:
    """Return where a property keeps its value: ``V1Probe._exec`` is stored as ``__exec``, which Python mangles."""
    return f"_{attribute}" if attribute[0] != "_" else f"_{owner.__name__.lstrip('_')}__{attribute[1:]}"


def _initial_state(owner: type, package: str) -> dict[str, Any]:
    """Return what the constructor stores when it is given nothing."""
    unchecked = SimpleNamespace(client_side_validation=False)  # or required fields could not be absent
    state = dict(vars(owner(local_vars_configuration=unchecked)))
    state["local_vars_configuration"] = _default_configuration(package)
    return state


def _maker(model_class: type, state: dict[str, Any], table: dict[str, tuple[str, type | None, Convert]]) -> Convert:
    new = object.__new__
    copy, find = state.copy, table.get

    def make(document: Any) -> Any:
        values = copy()
        if document.__class__ is dict:  # deserialize makes an empty model of anything else
            for name, value in document.items():
                field = find(name)
                if field is not None and value is not None:
                    slot, plain, convert = field
                    values[slot] = value if value.__class__ is plain else convert(value)
        instance: Any = new(model_class)
        instance.__dict__ = values
        return instance

    return make


def _list_of(plain: type | None, convert: Convert) -> Convert:
    def make(values: Any) -> Any:
        if values.__class__ is not list:
            return values
        return [value if value is None or value.__class__ is plain else convert(value) for value in values]

    return make


def _dict_of(plain: type | None, convert: Convert) -> Convert:
    def make(values: Any) -> Any:
        if values.__class__ is not dict:
            return values
        return {
            name: value if value is None or value.__class__ is plain else convert(value)
            for name, value in values.items()
        }

    return make


def _scalar(type_: Callable[[Any], Any]) -> Convert:
    def make(value: Any) -> Any:
        try:
            return type_(value)
        except (TypeError, ValueError, OverflowError):
            return value

    return make


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def _time(text: str) -> datetime:
    if _RFC3339.fullmatch(text):  # what servers write: 300 times faster than dateutil, and equal
        return datetime.fromisoformat(text)
    from dateutil.parser import parse  # type: ignore[import-untyped]

    time: datetime = parse(text)
    return time


_SCALARS: dict[str, tuple[type | None, Convert]] = {
    "str": (str, _scalar(str)),
    "int": (int, _scalar(int)),
    "float": (float, _scalar(float)),
    "bool": (bool, _scalar(bool)),
    "datetime": (None, _scalar(_time)),
    "object": (None, lambda value: value),
}
