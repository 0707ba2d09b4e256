"""What ties an object to others and to its end: its owner, its finalizers, whether it is being deleted. Pure.

It is read of the JSON when an object arrives, so that a controller knows it whatever the informer's type shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from aioinformers.objects.documents import decode_document, steady
from aioinformers.objects.paths import Path
from aioinformers.objects.transforms import BytesTransform

__all__ = ["NO_TIES", "OwnerReference", "Ties", "TiesFact", "ties_of"]


class OwnerReference(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A reference to the one owner that controls an object."""

    uid: str = ""
    name: str = ""
    kind: str = ""
    api_version: str = ""
    controller: bool | None = None


class Ties(msgspec.Struct, frozen=True, gc=False):
    """What ties an object.

    Attributes:
        is_ending: It is being deleted: it has a deletionTimestamp.
        finalizers: What has to be done before.
        controller: The owner that controls it; None if there is none.
    """

    is_ending: bool = False
    finalizers: tuple[str, ...] = ()
    controller: OwnerReference | None = None


NO_TIES: Final = Ties()


class _Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    deletion_timestamp: Any = None
    finalizers: list[str] | None = None
    owner_references: list[OwnerReference] | None = None


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata = _Metadata()


_decode = msgspec.json.Decoder(_Object).decode


def ties_of(raw: bytes) -> Ties:
    """Return what ties an object, given as JSON that has been accepted as one; of odd values what can be read."""
    try:
        metadata = steady(_decode, raw).metadata
    except msgspec.ValidationError:
        return _odd(decode_document(raw).get("metadata"))
    if metadata.deletion_timestamp is None and not metadata.finalizers and not metadata.owner_references:
        return NO_TIES
    controllers = [one for one in metadata.owner_references or () if one.controller]
    return Ties(
        metadata.deletion_timestamp is not None,
        tuple(metadata.finalizers or ()),
        controllers[0] if controllers else None,
    )


def _odd(metadata: object) -> Ties:
    """Read a document in which something has another type than the API says."""
    if not isinstance(metadata, dict):
        return NO_TIES
    finalizers = metadata.get("finalizers")
    references = metadata.get("ownerReferences")
    found = None
    for one in references if isinstance(references, list) else ():
        try:
            reference = msgspec.convert(one, OwnerReference)
        except msgspec.ValidationError:
            continue
        if reference.controller:
            found = reference
            break
    return Ties(
        metadata.get("deletionTimestamp") is not None,
        tuple(each for each in finalizers if isinstance(each, str)) if isinstance(finalizers, list) else (),
        found,
    )


class TiesFact:
    """Has an informer read the ties of each object; all of these are equal, so that it reads them once."""

    paths: tuple[Path, ...] = ()
    needed: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return "what a controller has to know of owners, finalizers and deletions"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TiesFact)

    def __hash__(self) -> int:
        return hash(TiesFact)

    def reader(self, before: BytesTransform, *, has_spec: bool) -> TiesReader:
        """Return what reads them; a transform that drops them hides them from users, not from here."""
        return TiesReader()


class TiesReader:
    """Reads the ties of an object."""

    wanted: tuple[Path, ...] = ()

    def __call__(self, raw: bytes, values: Sequence[Any] | None = None) -> Ties:
        """Return the ties of an object, given as JSON."""
        return ties_of(raw)
