"""What is known of an object beside its index values, read when it arrives, whatever is kept of it then. Pure.

A *fact* is a value that the machinery compares or looks up without decoding the object. It is computed of the bytes
that arrive, after built-in transforms, before users' functions and before the bytes are dropped or packed, and stands
in ``Entry.facts`` behind the fact itself. Nothing is read where nobody asks, or asks any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from aioinformers.errors import InvalidPathError
from aioinformers.objects.documents import steady
from aioinformers.objects.paths import Path, parse_path
from aioinformers.objects.transforms import BytesTransform

__all__ = ["Fact", "FieldSet", "leading_bytes_transform"]

_ALWAYS_IGNORED = ("metadata.resourceVersion", "metadata.managedFields", "kind", "apiVersion", "metadata.generation")
_NEVER_COUNT = tuple(map(parse_path, _ALWAYS_IGNORED))  # the kind is told by some lists, and not by others


class Fact(Protocol):
    """Reads one fact. Equal readers read the same, so that an informer reads it once for all who ask."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The fields that it names."""

    @property
    def needed(self) -> tuple[Path, ...]:
        """Those of them without which there is nothing to read."""

    def reader(self, before: BytesTransform, *, has_spec: bool) -> Callable[[bytes], Any]:
        """Return the function that reads it from an object's JSON.

        Args:
            before: The built-in transforms that come first.
            has_spec: Whether the JSON is the whole object; otherwise it is the metadata alone.
        """

    def __hash__(self) -> int: ...


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

    def reader(self, before: BytesTransform, *, has_spec: bool) -> Callable[[bytes], bytes]:
        """Return the function that gives the fingerprint of an object's JSON; see :meth:`Fact.reader`."""
        is_by_generation = not (has_spec or self._only)
        ignored = self._ignore + (_NEVER_COUNT[:-1] if is_by_generation else _NEVER_COUNT)
        keep = ((True, self._only),) if self._only else ()
        digest, whole = before.merge(BytesTransform(*keep, (False, ignored))).digest, before.digest

        def fingerprint(raw: bytes) -> bytes:
            read = whole if is_by_generation and not _has_generation(raw) else digest
            try:
                return read(raw)
            except RecursionError:
                return steady(read, raw)

        return fingerprint


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
