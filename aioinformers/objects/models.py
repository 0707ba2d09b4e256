"""JSON bytes to the client's generated models, without ``ApiClient.deserialize``.

``deserialize`` interprets type names with regular expressions for every field of every object and runs validating
setters: about a millisecond for a Pod, and an exception for one that lacks what the model calls required. Here
subclasses of each model are generated once, from its own ``openapi_types`` and ``attribute_map``. They keep the bytes
and decode what is read (:mod:`aioinformers.objects.lazy`), by msgspec and without Python code per field.

The result equals what ``deserialize`` gives in every attribute, where that does not raise. On purpose it differs in:

- A missing, unknown or null field never raises, and a value that cannot be converted is kept as it came, also a text
  or an object in the place of a list, which ``deserialize`` takes apart. A number beyond all of Python's is infinity.
- Times have ``datetime.timezone`` zones, not dateutil's (equal moments compare equal). What is finer than a
  microsecond, which no Kubernetes type is, is rounded and not cut off.
- ``local_vars_configuration`` is a stand-in for the default ``Configuration``. Setters work with it; no pickle or deep
  copy has it, with its credentials, inside.
- The classes of instances are made to be filled, not called, and ``vars()`` shows what has been read or assigned.

The client is never imported here: a model class that somebody hands in has brought it along.
"""

from __future__ import annotations

import functools
import re
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import repeat
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from aioinformers.objects.documents import decode_value, steady
from aioinformers.objects.lazy import (
    PART_FIELDS,
    UNENCODABLE,
    WHOLE_FIELDS,
    Leaf,
    Make,
    Part,
    Slot,
    View,
    Whole,
    default_configuration,
    kept_slot,
    level_decoder,
    part_slot,
    plain_slot,
)
from aioinformers.objects.levels import Levels
from aioinformers.objects.spans import Spans

__all__ = ["ModelViewer", "making", "model_decoder"]

T = TypeVar("T")
Convert: TypeAlias = Callable[[Any], Any]
_Role: TypeAlias = type[Whole] | type[Part] | type[Leaf]
_Classes: TypeAlias = dict[tuple[type, _Role], Any]


def model_decoder(model_class: type[T], *, kind: str = "", api_version: str = "") -> Callable[[bytes], T]:
    """Return the function that makes instances of a generated model from JSON bytes.

    They are instances of a subclass of the model, keep the bytes, and decode what is read of them. Bytes that are not
    JSON raise at the first read.

    Args:
        model_class: A model such as ``V1Pod``, or a subclass of one.
        kind: Fills the object's kind where it is absent, as it is in the items of a list.
        api_version: Fills the object's apiVersion likewise.

    Raises:
        TypeError: If the class is not a generated model.
    """
    generated = _class(model_class, Whole)
    view = View(_given(kind, api_version), Levels())

    def decode(raw: bytes) -> T:
        instance: T = generated(None, view, raw)
        return instance

    return decode


class ModelViewer(Generic[T]):
    """Shows stored entries as instances of a generated model.

    They are those of :func:`model_decoder`, but what their JSON is scanned into is kept for whoever reads the same
    version later.

    Args:
        model_class: A model such as ``V1Pod``, or a subclass of one.
        levels: Those of the informer.
        kind: Fills the object's kind where it is absent.
        api_version: Fills the object's apiVersion likewise.

    Attributes:
        shell: Makes an instance of an entry and ``view``, or of None, ``view`` and what the bytes are scanned into.
        view: What all instances are shown with.
    """

    def __init__(self, model_class: type[T], levels: Levels, *, kind: str = "", api_version: str = "") -> None:
        self.shell: Callable[..., T] = _class(model_class, Whole)
        self.view: View = View(_given(kind, api_version), levels)

    def show_all(self, entries: Iterable[Any]) -> list[T]:
        """Show many, without a call of Python code for each."""
        return [*map(self.shell, entries, repeat(self.view))]


def _given(kind: str, api_version: str) -> tuple[tuple[str, str], ...]:
    return tuple((slot, value) for slot, value in (("_kind", kind), ("_api_version", api_version)) if value)


class _Field(NamedTuple):
    """One attribute of a model."""

    attribute: str
    slot: str
    json_name: str
    type_name: str

    @property
    def is_plain(self) -> bool:
        """Its values are small and immutable: there is nothing to put off."""
        return self.type_name in _SCALARS and self.type_name != "object"

    @property
    def level_hint(self) -> Any:
        """How a level holds it."""
        return _SCALARS[self.type_name][0] | None if self.is_plain else msgspec.Raw


class _Shape:
    """What a model class says about itself.

    Attributes:
        model: The class.
        models: The module where the names of types are looked up.
        fields: Its attributes.
        json_names: Their names in JSON by slot.
    """

    def __init__(self, model: type) -> None:
        owner = next((base for base in model.__mro__ if "openapi_types" in vars(base)), None)
        if owner is None:
            raise TypeError(f"{model.__name__} is no generated model: it has no openapi_types")
        self.model = model
        self.models: Any = sys.modules[owner.__module__.rpartition(".")[0]]
        types: dict[str, str] = owner.openapi_types  # type: ignore[attr-defined]  # that is how the owner was chosen
        names: dict[str, str] = owner.attribute_map  # type: ignore[attr-defined]
        self.fields = [_Field(name, _slot(owner, name), names[name], type_name) for name, type_name in types.items()]
        self.json_names = {field.slot: field.json_name for field in self.fields}

    def namespace(self, restore: Callable[..., Any], role: _Role) -> dict[str, Any]:
        """Return what every generated class has: it looks like the model, and its instances can be rebuilt."""
        return {
            "__module__": self.model.__module__,
            "__qualname__": self.model.__qualname__,
            "__doc__": self.model.__doc__,
            "local_vars_configuration": default_configuration(self.models.__name__.rpartition(".")[0]),
            "discriminator": None,
            "_lazy_restore": staticmethod(functools.partial(restore, self.model, role)),
        }


_shape = functools.cache(_Shape)


def _slot(owner: type, attribute: str) -> str:
    """Return where a property keeps its value: ``V1Probe._exec`` is stored as ``__exec``, which Python mangles."""
    slot = f"_{attribute}" if attribute[0] != "_" else f"_{owner.__name__.lstrip('_')}__{attribute[1:]}"
    assert slot in getattr(owner, attribute).fget.__code__.co_names, f"{owner.__name__}.{attribute} is not in {slot}"
    return slot


_classes: _Classes = {}
making: threading.RLock = threading.RLock()
"""Held while classes and their decoders are made: readers may be in other threads.

A model has one class in each role. And msgspec writes what it has found out about a Struct into its class, a field at a
time: two threads that make decoders of one class at once end the process, one of them by reading what is not there yet.
"""


def _class(model: type, role: _Role) -> Any:
    """Return the generated class of a model in a role."""
    generated = _classes.get((model, role))
    if generated is None:
        with making:
            if (model, role) not in _classes:
                _classes.update(_leaves(model) if role is Leaf else {(model, role): _lazy(model, role)})
            generated = _classes[model, role]
    return generated


def _lazy(model: type, role: _Role) -> type:
    """Generate the class of a model that decodes itself, and the Struct of its level."""
    shape = _shape(model)
    hints: list[Any] = [(field.slot, field.level_hint, None) for field in shape.fields]
    if role is Part:
        hints.append(("raw", Any, None))  # what it has been made of; no slot has such a name
    # Of no interest to the garbage collector: what is in a level does not refer back to it.
    level: Any = msgspec.defstruct(model.__name__, hints, rename=shape.json_names, gc=False)
    namespace = shape.namespace(restore_lazy, role)
    own: dict[str, str] = {}  # of a whole: the fields of its Struct that keep what can be changed
    makers: dict[str, Make] = {}
    spans = _spans(shape)
    for field in shape.fields:
        if field.is_plain:
            slot = plain_slot(field.slot)
        elif role is Whole:
            own[field.slot] = name = f"_lazy_own{len(own)}"
            slot, makers[field.slot] = _kept(shape, field, name, spans)
        else:
            namespace[field.slot] = Slot(field.slot, _reader(shape.models, field.type_name))
            continue
        namespace[field.slot] = slot
        if (public := getattr(model, field.attribute, None)).__class__ is property:
            # The same without the detour through the slot.
            namespace[field.attribute] = property(slot.fget, public.fset, None, public.__doc__)
    if role is Whole:
        namespace |= {"_lazy_fields": own, "_lazy_makers": makers}
    namespace["_lazy_decode"] = msgspec.json.Decoder(level).decode
    namespace["_lazy_convert"] = staticmethod(lambda raw: _converted_level(shape, level, raw))
    shell_fields = WHOLE_FIELDS if role is Whole else PART_FIELDS
    defaults = {shell_fields[-1]: UNENCODABLE} | dict.fromkeys(own.values(), msgspec.UNSET)
    first, *others = (*shell_fields, *own.values())
    fields: list[Any] = [(first, Any), *((name, Any, defaults.get(name)) for name in others)]
    bases = (role, _without_init(model), msgspec.Struct)
    return msgspec.defstruct(model.__name__, fields, bases=bases, namespace=namespace)


def _spans(shape: _Shape) -> Spans:
    """Return what finds the parts that objects of this kind end with."""

    def decoder(field: _Field) -> Callable[[], Convert]:
        return lambda: level_decoder(_class(getattr(shape.models, field.type_name), Part))

    ends = {"_spec": "spec", "_status": "status"}
    parts = [field for field in shape.fields if ends.get(field.slot) == field.json_name]
    return Spans({field.slot: decoder(field) for field in parts if _is_model(shape.models, field.type_name)})


def _kept(shape: _Shape, field: _Field, name: str, spans: Spans) -> tuple[property, Make]:
    """Return the property of a whole's slot that can be changed, and what makes its values; it is kept in a field."""
    if _is_model(shape.models, field.type_name):
        find = functools.partial(_class, getattr(shape.models, field.type_name), Part)
        return part_slot(field.slot, name, find, spans)
    read = _reader(shape.models, field.type_name)
    return kept_slot(field.slot, name), lambda _, raw: read(raw)


def _without_init(model: type) -> type:
    """Return a base that is the model: msgspec refuses a direct one that has an ``__init__``; no Struct calls it."""
    return type(model.__name__, (model,), {"__slots__": (), "__module__": model.__module__})


def _leaves(model: type) -> _Classes:
    """Generate the Struct class of a model and those of every model below it.

    Models refer to each other in circles, but msgspec looks at annotations only when it makes a decoder. So all classes
    are made first, and get the annotations that refer to the others afterwards.
    """
    shapes = _shapes_of_new_leaves(model)
    leaves: _Classes = {(shape.model, Leaf): _leaf(shape) for shape in shapes}

    def class_of(model: type) -> Any:
        return leaves.get((model, Leaf)) or _classes[model, Leaf]

    for shape in shapes:
        leaves[shape.model, Leaf].__annotations__ = {
            field.slot: _hint(shape.models, field.type_name, class_of) | None for field in shape.fields
        }
    return leaves


def _shapes_of_new_leaves(model: type) -> list[_Shape]:
    """Return the shapes of a model and of every model below it, as far as their Struct classes do not exist yet."""
    shapes: dict[type, _Shape] = {}
    waiting: list[type | None] = [model]
    while waiting:
        below = waiting.pop()
        if below is not None and below not in shapes and (below, Leaf) not in _classes:
            shapes[below] = shape = _shape(below)
            waiting += [_model_in(shape.models, field.type_name) for field in shape.fields]
    return list(shapes.values())


def _leaf(shape: _Shape) -> Any:
    """Generate the Struct class of one model, without annotations that msgspec could decode by."""
    name, namespace = shape.model.__name__, shape.namespace(restore_leaf, Leaf)
    return msgspec.defstruct(
        name,
        [(field.slot, Any, None) for field in shape.fields],
        bases=(Leaf, _without_init(shape.model), msgspec.Struct),
        namespace=namespace,
        rename=shape.json_names,
        omit_defaults=True,  # whoever encodes it by msgspec gets what the client would send
    )


def restore_lazy(model: type, role: _Role, raw: Any, given: tuple[tuple[str, str], ...] = ()) -> Any:
    """Rebuild an instance from a pickle or for a copy."""
    generated = _class(model, role)
    return generated(None, View(given, Levels()), raw) if role is Whole else generated(raw)


def restore_leaf(model: type, role: _Role, fields: dict[str, Any]) -> Any:
    """Rebuild an instance from a pickle or for a copy."""
    return _class(model, role)(**fields)


def _reader(models: Any, type_name: str) -> Convert:
    """Return the function that decodes values of a type; what it needs is generated when it is called first.

    Args:
        models: The module where the names of types are looked up.
        type_name: The type; models in it become leaves.
    """
    decode: Convert | None = None

    def read(raw: msgspec.Raw) -> Any:
        nonlocal decode
        if decode is None:
            with making:
                hint = _hint(models, type_name, functools.partial(_class, role=Leaf))
                decode = msgspec.json.Decoder(hint | None).decode
        try:
            return decode(raw)
        except (msgspec.ValidationError, RecursionError):
            return read_slowly(decode, raw)

    def read_slowly(decode: Convert, raw: msgspec.Raw) -> Any:
        try:
            return steady(decode, raw)
        except msgspec.ValidationError:
            return _surely(_conversion(models, type_name)[1], decode_value(raw))

    return read


def _is_model(models: Any, type_name: str) -> bool:
    return type_name not in _SCALARS and hasattr(models, type_name)


_LIST = re.compile(r"list\[(.*)\]")
_DICT = re.compile(r"dict\([^,]*, (.*)\)")


def _hint(models: Any, type_name: str, class_of: Callable[[type], Any]) -> Any:
    """Return the annotation for msgspec of a type; a value may be null wherever there is one."""
    if type_name in _SCALARS:
        return _SCALARS[type_name][0]
    if match := _LIST.fullmatch(type_name):
        return list[_hint(models, match[1], class_of) | None]  # type: ignore[misc]  # made at run time
    if match := _DICT.fullmatch(type_name):
        return dict[str, _hint(models, match[1], class_of) | None]  # type: ignore[misc]
    model = _model_in(models, type_name)
    return Any if model is None else class_of(model)


def _model_in(models: Any, type_name: str) -> type | None:
    """Return the model that a type is, or is a list or dict of; None if it is made of scalars."""
    while match := _LIST.fullmatch(type_name) or _DICT.fullmatch(type_name):
        type_name = match[1]
    if type_name in _SCALARS:
        return None
    model: type | None = getattr(models, type_name, None)  # the client names types that it does not have
    return model


# What follows converts value by value what msgspec has refused as a whole: a value of another type than declared.


@functools.cache
def _conversion(models: Any, type_name: str) -> tuple[Any, Convert]:
    """Return the type of values that are right as they are, and the conversion of others."""
    if type_name in _SCALARS:
        return _SCALARS[type_name]
    if match := _LIST.fullmatch(type_name):
        return None, _list_of(*_conversion(models, match[1]))
    if match := _DICT.fullmatch(type_name):
        return None, _dict_of(*_conversion(models, match[1]))
    model = _model_in(models, type_name)
    if model is None:
        return _SCALARS["object"]
    return None, lambda document: _class(model, Leaf)(**_converted_fields(model, document))


@functools.cache
def _conversions(model: type) -> dict[str, tuple[str, Any, Convert]]:
    shape = _shape(model)
    return {field.json_name: (field.slot, *_conversion(shape.models, field.type_name)) for field in shape.fields}


def _surely(convert: Convert, value: Any) -> Any:
    """Convert a value, or keep it as it came if it is nested deeper than conversions call each other."""
    try:
        return steady(convert, value)
    except RecursionError:
        return value


def _converted_fields(model: type, document: Any) -> dict[str, Any]:
    """Return a model's values by slot; like ``deserialize``, take none from what is not an object."""
    values: dict[str, Any] = {}
    if document.__class__ is dict:
        find = _conversions(model).get
        for name, value in document.items():
            field = find(name)
            if field is not None and value is not None:
                slot, plain, convert = field
                values[slot] = value if value.__class__ is plain else convert(value)
    return values


def _converted_level(shape: _Shape, level: Any, raw: Any) -> tuple[Any, bool]:
    """Return a level whose plain values are converted, and whether there is nothing in it that can be changed."""
    try:
        members = steady(_decode_members, raw)
    except msgspec.ValidationError:  # like `deserialize`, take nothing from what is not an object
        members = {}
    values: dict[str, Any] = {}
    is_shared = True
    for field in shape.fields:
        member = members.get(field.json_name)
        if member is None or (len(member) == 4 and bytes(member) == b"null"):
            continue
        if not field.is_plain:
            values[field.slot] = member
            continue
        plain, convert = _SCALARS[field.type_name]
        value = decode_value(member)
        values[field.slot] = value = value if value.__class__ is plain else _surely(convert, value)
        is_shared = is_shared and not isinstance(value, list | dict)
    return level(**values), is_shared


_decode_members: Callable[[Any], dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _list_of(plain: Any, convert: Convert) -> Convert:
    def make(values: Any) -> Any:
        if values.__class__ is not list:
            return values
        return [value if value is None or value.__class__ is plain else convert(value) for value in values]

    return make


def _dict_of(plain: Any, convert: Convert) -> Convert:
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
        except Exception:  # whatever it is: the value is kept as it came
            return value

    return make


_LONGEST_TIME = 100
"""Characters of a text that may be a time; dateutil takes a second to find that a megabyte is none."""


def _time(text: str) -> datetime:
    from dateutil.parser import parse  # type: ignore[import-untyped]

    if len(text) > _LONGEST_TIME:
        raise ValueError("not a time")
    time: datetime = parse(text)
    return time


_SCALARS: dict[str, tuple[Any, Convert]] = {
    "str": (str, _scalar(str)),
    "int": (int, _scalar(int)),
    "float": (float, _scalar(float)),
    "bool": (bool, _scalar(bool)),
    "datetime": (datetime, _scalar(_time)),
    "object": (Any, lambda value: value),
}
