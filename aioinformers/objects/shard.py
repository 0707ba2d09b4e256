"""One of a number of equal parts of all objects, which stays the same. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aioinformers.checks import require_number, shown
from aioinformers.objects.ranges import HASHES, Field, Range, Share, require_field

__all__ = ["COUNT", "INDEX", "Shard", "share_of"]

COUNT: Final = "AIOINFORMERS_SHARDS"
"""The environment variable that says how many shards there are."""

INDEX: Final = "POD_INDEX"
"""The environment variable with the ordinal of a StatefulSet's Pod, from its label ``apps.kubernetes.io/pod-index``."""

_NAMES: Final = ("POD_NAME", "HOSTNAME")

_NUMBER: Final = re.compile(r"(0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard ``index`` of ``of``: the objects whose hashes lie in one of so many ranges of equal size.

    Counted from 0, as the Pods of a StatefulSet are: the first of eight is ``Shard(0, of=8)``, the last is
    ``Shard(7, of=8)``. Shard i of n has the hashes from ``i * 2**64 // n`` up to, but not including,
    ``(i + 1) * 2**64 // n``, so that each object is in exactly one of n shards. Every process needs another ``index``,
    and the same ``of`` and ``by``: what no process asks for, nobody sees.

    Args:
        index: Which of the shards, from 0 on.
        of: How many shards there are.
        by: The field that is hashed. ``"uid"`` spreads all objects evenly. ``"namespace"`` keeps what is in one
            namespace together, such as owners and what they own, and spreads namespaces as their names will have it:
            those that differ only in their last letters fall into one shard. Objects without a namespace are in one
            shard then.

    Attributes:
        range: The first hash, and the one after the last.

    Raises:
        TypeError: If a number is none.
        ValueError: If there is no such shard or no such field.
    """

    index: int
    of: int = field(kw_only=True)
    by: Field = field(default="uid", kw_only=True)
    range: Range = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_number("Shard(index)", self.index, whole=True)
        require_number("Shard(of=)", self.of, whole=True)
        require_field(self.by)
        if not 1 <= self.of <= HASHES:
            raise ValueError(f"Shard(of=) is the number of shards, 1 or more, not {self.of}")
        if not 0 <= self.index < self.of:
            raise ValueError(
                f"shards are counted from 0: of {self.of} there are {_indexes(self.of)}, but no {self.index}"
            )
        object.__setattr__(self, "range", (self.index * HASHES // self.of, (self.index + 1) * HASHES // self.of))

    @classmethod
    def from_environment(cls, *, by: Field = "uid", environment: Mapping[str, str] | None = None) -> Shard:
        """Return the shard of this Pod of a StatefulSet.

        ``AIOINFORMERS_SHARDS`` says how many shards there are, the StatefulSet's ``replicas``. The ordinal is
        ``POD_INDEX``; where that is not set, the digits after the last ``-`` of ``POD_NAME``; where that is not set
        either, those of ``HOSTNAME``. With ``hostNetwork`` ``HOSTNAME`` is the node's: set one of the others.

        What is missing or cannot be is an error, never another shard, and a variable that is set is never passed over
        for the next: two processes with the same shard would leave objects to nobody.

        Args:
            by: The field that is hashed.
            environment: The variables; by default those of this process.

        Raises:
            ValueError: If a variable is missing or no number, or the ordinal is not below the number of shards; says
                which, and what to do.
        """
        variables = os.environ if environment is None else environment
        count, (ordinal, source) = _count(variables), _ordinal(variables)
        if ordinal >= count:
            raise ValueError(
                f"{source} says ordinal {ordinal}, but {COUNT}={count} has shards {_indexes(count)} only: {COUNT} must "
                f"be the StatefulSet's replicas, and its ordinals begin with 0"
            )
        return cls(ordinal, of=count, by=by)

    @property
    def selector(self) -> str:
        """The shard's ``shardSelector``, in the form in which a server repeats it."""
        return share_of(self).selector

    def contains(self, value: str) -> bool:
        """Tell whether an object belongs to the shard.

        Args:
            value: The object's uid; with ``by="namespace"`` the name of its namespace, ``""`` if it is in none.

        Raises:
            TypeError: If it is not a text.
        """
        return share_of(self).contains(value)

    def __str__(self) -> str:
        return f"shard {self.index} of {_indexes(self.of)}, by {self.by}"


def share_of(shard: Shard) -> Share:
    """Return the objects that belong to a shard."""
    return Share(shard.by, (shard.range,))


def _indexes(of: int) -> str:
    return f"0 to {of - 1}" if of > 1 else "0"


def _count(variables: Mapping[str, str]) -> int:
    if COUNT not in variables:
        raise ValueError(f"{COUNT} is not set: it says how many shards there are, the StatefulSet's replicas")
    text = variables[COUNT]
    if not _NUMBER.fullmatch(text) or text == "0":
        raise ValueError(f"{COUNT} is the number of shards, 1 or more, not {shown(text)}")
    return int(text)


def _ordinal(variables: Mapping[str, str]) -> tuple[int, str]:
    """Return the ordinal of this Pod, and the variable that says so."""
    if INDEX in variables:
        text = variables[INDEX]
        if not _NUMBER.fullmatch(text):
            raise ValueError(
                f"{INDEX} is the ordinal of a StatefulSet's Pod, a number from 0 on, not {shown(text)}: take it from "
                f"the label apps.kubernetes.io/pod-index, which Kubernetes sets from 1.28 on"
            )
        return int(text), f"{INDEX}={text}"
    name = next((name for name in _NAMES if name in variables), None)
    if name is None:
        raise ValueError(
            f"none of {INDEX}, {', '.join(_NAMES)} is set: one of them must say which Pod of a StatefulSet this is"
        )
    _, dash, text = variables[name].rpartition("-")
    if not (dash and _NUMBER.fullmatch(text)):
        raise ValueError(
            f"{name}={shown(variables[name])} does not end in '-' and an ordinal, as names of a StatefulSet's Pods do: "
            f"set {INDEX}, or make a Shard(index, of=count)"
        )
    return int(text), f"{name}={variables[name]}"
