"""Hashes of objects' fields, ranges of them, and the selectors that ask the API server for ranges (KEP-5866). Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from aioinformers.checks import shown, suggestion

__all__ = [
    "FIELDS", "HASHES", "Field", "Judge", "Range", "Share", "hash_field", "parse_shard_selector", "require_field",
    "shard_selector",
]  # fmt: skip

Field: TypeAlias = Literal["uid", "namespace"]
"""The field of an object's metadata whose hash decides where the object belongs."""

Range: TypeAlias = tuple[int, int]
"""The first hash of a range, and the one after its last."""

Judge: TypeAlias = Callable[[str, str | None], bool]
"""Tells whether an object is one's own, by its internal key and its uid; None if the uid could not be read."""

FIELDS: Final[tuple[Field, ...]] = get_args(Field)

HASHES: Final = 1 << 64
"""How many hashes there are."""

_NAMESPACES: Final = 1 << 14
"""Namespaces whose hashes are remembered."""

_BASIS: Final = 0xCBF29CE484222325
_PRIME: Final = 0x100000001B3

_RANGE: Final = re.compile(
    r"shardRange\(object\.metadata\.(uid|namespace), '0x([0-9a-f]{16,17})', '0x([0-9a-f]{16,17})'\)"
)
_OR: Final = " || "


def hash_field(text: str) -> int:
    """Return the hash of a uid or of a namespace's name, from 0 to 2⁶⁴ - 1.

    It is FNV-1a in 64 bits over the UTF-8 of the text, as apimachinery's ``sharding.HashField``, which writes it in 16
    hexadecimal digits. It takes 3 to 4 µs for a uid.

    Texts that differ only in their last letters have hashes close to each other, so that namespaces such as ``team-a``
    to ``team-z`` fall into one range, even among thousands.

    Raises:
        TypeError: If it is not a text.
        UnicodeEncodeError: If it holds half of a surrogate pair, which neither field can.
    """
    if not isinstance(text, str):
        raise TypeError(f"what is hashed is a uid or the name of a namespace, a text, not {shown(text)}")
    value, prime, mask = _BASIS, _PRIME, HASHES - 1
    for byte in text.encode():
        value = ((value ^ byte) * prime) & mask
    return value


def require_field(by: object) -> None:
    """Refuse what is not a field by which objects can be divided.

    Raises:
        ValueError: If it is none; says which there are.
    """
    if by not in FIELDS:
        meant = suggestion(str(by), FIELDS)
        raise ValueError(f"objects are divided by their uid or by their namespace, not by {shown(by)}: {meant}")


def shard_selector(ranges: Iterable[Range], *, by: Field = "uid") -> str:
    """Return the selector of ranges in the server's own form, in which a LIST repeats it.

    Args:
        ranges: The ranges, at least one; each with its first hash and the one after its last. The server keeps their
            order and unites nothing.
        by: The field that is hashed.

    Raises:
        ValueError: If there is no range, one is empty or reaches beyond the hashes, or there is no such field.
    """
    require_field(by)
    parts = []
    for begin, end in ranges:
        if not 0 <= begin < end <= HASHES:
            raise ValueError(
                f"a range of hashes begins at 0 or later and ends after that, at most at 2^64: {begin:#x} to {end:#x}"
            )
        parts.append(f"shardRange(object.metadata.{by}, '0x{begin:016x}', '0x{end:016x}')")
    if not parts:
        raise ValueError("a selector of shards needs a range: a server refuses one without, and all objects need none")
    return _OR.join(parts)


def parse_shard_selector(text: str) -> tuple[Field, tuple[Range, ...]]:
    """Read a selector in the form in which the server repeats it, as in the ``metadata.shardInfo`` of a LIST.

    Returns:
        The field that is hashed, and the ranges in their order.

    Raises:
        ValueError: If it is not of that form; other forms, which a server accepts too, are none that it answers with.
    """
    fields: set[str] = set()
    ranges: list[Range] = []
    for part in text.split(_OR):
        match = _RANGE.fullmatch(part)
        begin, end = (int(match[2], 16), int(match[3], 16)) if match else (0, 0)
        if match is None or not 0 <= begin < end <= HASHES:
            raise ValueError(f"not a range of hashes as an API server writes it: {shown(part)}")
        fields.add(match[1])
        ranges.append((begin, end))
    if len(fields) > 1:
        raise ValueError(f"all ranges of a selector are of one field: {shown(text)}")
    field: Field = "uid" if "uid" in fields else "namespace"
    if shard_selector(ranges, by=field) != text:
        raise ValueError(f"not as an API server writes it, with 16 digits for each hash: {shown(text)}")
    return field, tuple(ranges)


class Share(NamedTuple):
    """The objects whose hashes lie in some ranges.

    Attributes:
        by: The field that is hashed.
        ranges: The ranges, at least one.
    """

    by: Field
    ranges: tuple[Range, ...]

    @property
    def selector(self) -> str:
        """The ``shardSelector`` of the ranges, in the form in which a server repeats it."""
        return shard_selector(self.ranges, by=self.by)

    def contains(self, value: str) -> bool:
        """Tell whether the hash of a uid, or of a namespace's name, lies in the ranges."""
        hashed = hash_field(value)
        for begin, end in self.ranges:  # noqa: SIM110  a generator takes longer
            if begin <= hashed < end:
                return True
        return False

    def owns_namespace(self, namespace: str) -> bool:
        """Tell whether objects of a namespace may be among them; of what has no namespace, that is ``""``."""
        return self.by != "namespace" or self.contains(namespace)

    def judge(self) -> Judge:
        """Return what tells of an object whether it is among them: 3 to 4 µs by uid, far less by namespace.

        An object of which only the key is known is among them, unless the key tells otherwise.
        """
        if self.by == "uid":
            contains = self.contains
            return lambda _, uid: uid is None or contains(uid)
        in_ranges = functools.lru_cache(maxsize=_NAMESPACES)(self.contains)
        return lambda key, _: in_ranges(key.rpartition("/")[0])
