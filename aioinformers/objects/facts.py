"""What is known of an object beside its index values, read when it arrives, whatever is kept of it then. Pure.

A *fact* is a value that the machinery compares or looks up without decoding the object. It is computed of the bytes
that arrive, after built-in transforms, before users' functions and before the bytes are dropped or packed, and stands
in ``Entry.facts`` behind the fact itself. Nothing is read where nobody asks, or asks any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, Protocol

import msgspec

from aioinformers.errors import InvalidPathError
from aioinformers.objects.cuts import Cuts, outermost
from aioinformers.objects.documents import steady
from aioinformers.objects.paths import Path, PathReader, parse_path
from aioinformers.objects.transforms import FINGERPRINT, BytesTransform

__all__ = ["Fact", "FactReader", "FieldSet", "leading_bytes_transform"]

_ALWAYS_IGNORED = ("metadata.resourceVersion", "metadata.managedFields", "kind", "apiVersion", "metadata.generation")
_NEVER_COUNT = tuple(map(parse_path, _ALWAYS_IGNORED))
_TOLD_BY_SOME = frozenset(_NEVER_COUNT[2:4])  # lists that have a kind of their own often leave out that of the items


class Fact(Protocol):
    """Reads one fact. Equal readers read the same, so that an informer reads it once for all who ask."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The fields that it names."""

    @property
    def needed(self) -> tuple[Path, ...]:
        """Those of them without which there is nothing to read."""

    def reader(self, before: BytesTransform, *, has_spec: bool) -> FactReader:
        """Return what reads it from an object's JSON.

        Args:
            before: The built-in transforms that come first.
            has_spec: Whether the JSON is the whole object; otherwise it is the metadata alone.
        """

    def __hash__(self) -> int: ...


class FactReader(Protocol):
    """Reads a fact from JSON that has been accepted.

    Attributes:
        wanted: Members whose raw values make it quicker, if whoever has scanned the object has them.
    """

    wanted: tuple[Path, ...]

    def __call__(self, raw: bytes, values: Sequence[Any] | None = None) -> Any:
        """Return the fact of an object, given as JSON; the values are those of the wanted members, as in ``raw``."""


class FieldSet:
    """Some fields of an object, as a *fingerprint* of 16 bytes: whether they have changed is one comparison.

    The resourceVersion, the managed fields and the generation never count. Where there are only metadata, and no fields
    are named by ``only``, the generation does count, as it stands for the spec; without one every version is another.

    Args:
        only: Paths of the fields; none for all.
        ignore: Paths that are left out of these.

    Raises:
        InvalidPathError: If a text is not a path, or is named by ``only`` and never counts.
    """

    def __init__(self, only: Iterable[str] = (), ignore: Iterable[str] = ()) -> None:
        self._only = tuple(sorted(map(parse_path, set(only)), key=str))
        self._ignore = tuple(sorted(map(parse_path, set(ignore)), key=str))
        left_out = BytesTransform((False, self._ignore + _NEVER_COUNT))
        for path in self._only:
            if left_out.drops(path):
                problem = (
                    "`ignore` leaves it out" if path not in _NEVER_COUNT else "it never counts: say only=('spec',)"
                )
                raise InvalidPathError(
                    str(path), 0, f"a handler of changes of this field alone is told nothing: {problem}"
                )

    def __repr__(self) -> str:
        parts = (("only", self._only), ("ignore", self._ignore))
        return ", ".join(f"{name}={[str(path) for path in paths]!r}" for name, paths in parts if paths)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldSet):
            return NotImplemented
        return (self._only, self._ignore) == (other._only, other._ignore)

    def __hash__(self) -> int:
        return hash((self._only, self._ignore))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The fields that it names."""
        return self._only + self._ignore

    @property
    def needed(self) -> tuple[Path, ...]:
        """Those of them without which there is nothing to read."""
        return self._only

    def reader(self, before: BytesTransform, *, has_spec: bool) -> FactReader:
        """Return what gives the fingerprint of an object's JSON; see :meth:`Fact.reader`."""
        if not (has_spec or self._only):
            ignored = BytesTransform((False, self._ignore + _NEVER_COUNT[:-1]))
            return _ByGeneration(before.merge(ignored), before)
        keep = ((True, self._only),) if self._only else ()
        return _Fingerprint(before.merge(BytesTransform(*keep, (False, self._ignore + _NEVER_COUNT))))


class _Fingerprint:
    """Reads the fingerprint of what a transform leaves of an object.

    Where fields are dropped only, the others are not looked at one by one: the dropped ones are cut out of the bytes.
    """

    def __init__(self, rest: BytesTransform) -> None:
        self._digest = rest.digest
        dropped = outermost(set(rest.dropped or ()) - _TOLD_BY_SOME)
        self.wanted: tuple[Path, ...] = dropped or ()
        self._cuts = Cuts(self.wanted)
        self._members = PathReader((), parts=self.wanted)
        self._decode = msgspec.json.Decoder(self._members.projection).decode

    def __call__(self, raw: bytes, values: Sequence[Any] | None = None) -> bytes:
        if self.wanted:
            if values is None:
                values = self._values(raw)
            if values and (rest := self._cuts.remainder(raw, values)) is not None:
                return sha256(rest).digest()[:FINGERPRINT]
        try:
            return self._digest(raw)
        except RecursionError:
            return steady(self._digest, raw)

    def _values(self, raw: bytes) -> Sequence[Any]:
        """Return the values of the wanted members; none if the object is an unusual one."""
        try:
            return self._members.read(self._decode(raw))[3][1:]
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return ()


class _ByGeneration:
    """Reads the fingerprint of metadata, in which the generation stands for the spec."""

    wanted: tuple[Path, ...] = ()

    def __init__(self, rest: BytesTransform, whole: BytesTransform) -> None:
        self._rest, self._whole = rest.digest, whole.digest

    def __call__(self, raw: bytes, values: Sequence[Any] | None = None) -> bytes:
        read = self._rest if _has_generation(raw) else self._whole
        try:
            return read(raw)
        except RecursionError:
            return steady(read, raw)


class _Generation(msgspec.Struct, gc=False):
    generation: Any = None


class _WithGeneration(msgspec.Struct, gc=False):
    metadata: _Generation


_decode_generation = msgspec.json.Decoder(_WithGeneration).decode


def _has_generation(raw: bytes) -> bool:
    return _decode_generation(raw).metadata.generation is not None


def leading_bytes_transform(stages: Iterable[Any]) -> BytesTransform:
    """Return the built-in transforms that an informer's transforms begin with, as one."""
    leading = BytesTransform()
    for stage in stages:
        if not isinstance(stage, BytesTransform):
            break
        leading = leading.merge(stage)
    return leading
