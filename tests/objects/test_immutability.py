"""Which types have values that nobody can change, however deep one reaches in."""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Optional

import msgspec
import pydantic
import pytest

from aioinformers.objects.immutability import is_deeply_immutable, is_pydantic


class Phase(enum.StrEnum):
    RUNNING = "Running"


class Recursive(msgspec.Struct, frozen=True):
    children: tuple[Recursive, ...] = ()
    parent: Recursive | None = None


class Everything(msgspec.Struct, frozen=True):
    a: Annotated[str, msgspec.Meta(min_length=1)]
    b: Annotated[int, {"not": "hashable"}]
    c: Literal["x", "y"] | None
    d: frozenset[tuple[int, bytes]]
    e: Phase
    f: Optional[float]  # noqa: UP045  users write both


@dataclasses.dataclass(frozen=True, slots=True)
class Class:
    inner: Recursive
    names: tuple[str, ...] = ()
    others: frozenset[str] = dataclasses.field(default_factory=frozenset)


class Referable(msgspec.Struct, frozen=True, weakref=True):
    """A weak reference changes nothing of what it refers to."""

    inner: Class = Class(Recursive())


class Thawed(msgspec.Struct):
    name: str


class ThawedInside(msgspec.Struct, frozen=True):
    inner: Thawed


class ThawedFarInside(msgspec.Struct, frozen=True):
    inner: tuple[dict[str, str], ...]


class ThawedModel(pydantic.BaseModel):
    name: str


class ModelOfThawed(pydantic.BaseModel, frozen=True):
    names: list[str]


@dataclasses.dataclass
class ThawedClass:
    name: str


@dataclasses.dataclass(frozen=True)
class ClassOfThawed:
    inner: ThawedClass


class Model(pydantic.BaseModel, frozen=True):
    inner: Recursive | None = None
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)


class OpenModel(pydantic.BaseModel, frozen=True, extra="allow"):
    name: str


class RememberingModel(pydantic.BaseModel, frozen=True):
    name: str
    _seen: list[str] = pydantic.PrivateAttr(default_factory=list)


@dataclasses.dataclass(frozen=True)
class ClassWithDict:
    name: str

    @functools.cached_property
    def parts(self) -> list[str]:
        return self.name.split("-")


class SlottedBelow(Class):
    """The base has slots, this has not."""


class StructWithDict(msgspec.Struct, frozen=True, dict=True):
    name: str


class Mixin:
    pass


class StructWithMixin(Mixin, msgspec.Struct, frozen=True):
    name: str


class LyingStruct(msgspec.Struct, frozen=True):
    names: tuple[str, ...] = []  # type: ignore[assignment]  # that is the point


class LyingFactory(msgspec.Struct, frozen=True):
    names: tuple[str, ...] = msgspec.field(default_factory=list)  # type: ignore[arg-type]


class FailingFactory(msgspec.Struct, frozen=True):
    name: str = msgspec.field(default_factory=lambda: str(1 / 0))


@dataclasses.dataclass(frozen=True, slots=True)
class LyingClass:
    names: tuple[tuple[str, ...], ...] = (["a"],)  # type: ignore[assignment]


class Preparing(msgspec.Struct, frozen=True):
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "names", list(self.names))


class Pair(NamedTuple):
    left: list[str]


def local() -> type[Any]:
    """Return a class whose annotations cannot be looked up."""

    class Hidden:
        pass

    class Local(msgspec.Struct, frozen=True):
        hidden: Hidden | None = None

    return Local


@pytest.mark.parametrize(
    "hint",
    [str, Phase, Recursive, Everything, Class, Referable, tuple[()], tuple[int, ...], Literal[1], Optional[bool]],  # noqa: UP045
)
def test_what_cannot_be_changed_is_immutable(hint: Any) -> None:
    assert is_deeply_immutable(hint)


@pytest.mark.parametrize(
    "hint",
    [list, dict[str, str], list[int], tuple, tuple[list[int]], Any, object, Pair, str | list[str], Callable[[], None],
     Annotated[list[str], "x"], msgspec.Raw, bytearray, Thawed, ThawedInside, ThawedFarInside, ThawedModel,
     ModelOfThawed, ThawedClass, ClassOfThawed, Model, OpenModel, RememberingModel, ClassWithDict, SlottedBelow,
     StructWithDict, StructWithMixin, LyingStruct, LyingFactory, FailingFactory, LyingClass, Preparing],
)  # fmt: skip
def test_g13_what_can_be_changed_or_is_unknown_is_not(hint: Any) -> None:
    assert not is_deeply_immutable(hint)


def test_a_class_of_which_the_fields_cannot_be_looked_up_counts_as_changeable() -> None:
    """Those that are defined inside a function, with annotations that are texts."""
    assert not is_deeply_immutable(local())


@pytest.mark.parametrize(
    ("python_type", "expected"), [(Model, True), (ThawedModel, True), (Class, False), (dict, False)]
)
def test_a_pydantic_model_is_known_by_what_it_has(python_type: type[Any], expected: bool) -> None:
    assert is_pydantic(python_type) is expected
