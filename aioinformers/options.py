"""The arguments that informers are asked for with: their types, and what they mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from aioinformers.types import ALL_NAMESPACES, EVERYTHING, AllNamespaces, ListOptions, Scope

__all__ = ["Namespaces", "Transforms", "Tweak", "period_of", "scopes_of", "transforms_of"]

Namespaces: TypeAlias = str | Sequence[str] | AllNamespaces | None


Transforms: TypeAlias = Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None


Tweak: TypeAlias = Callable[[ListOptions], None]


_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def scopes_of(namespace: Namespaces) -> tuple[Scope, ...]:
    """Return one scope per namespace, sorted; :data:`EVERYTHING` alone for all namespaces."""
    if namespace is None or namespace is ALL_NAMESPACES:
        return (EVERYTHING,)
    names = (namespace,) if isinstance(namespace, str) else tuple(namespace)
    if not names:
        raise ValueError("namespace=[] selects nothing: give names, or ALL_NAMESPACES")
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a namespace: for all of them leave it out or use ALL_NAMESPACES")
    return tuple(Scope(name) for name in sorted(set(names)))


def transforms_of(transform: Transforms) -> tuple[Callable[[Any], Any], ...]:
    """Return the transforms in order, whether one was given, several or none."""
    found = () if transform is None else (transform,) if callable(transform) else tuple(transform)
    for one in found:
        if not callable(one):
            raise TypeError(f"a transform must be callable, not {one!r}")
    return found


def period_of(seconds: float) -> float:
    """Return a resync period: 0 for never, else at least a second."""
    if seconds < 0:
        raise ValueError(f"a resync period must not be negative, not {seconds!r}")
    return max(seconds, 1.0) if seconds else 0.0
