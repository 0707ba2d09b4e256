"""The options of a write, from the query of its request or the body of a deletion. Pure."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aioinformers.testing.apiserver.status import StatusError

__all__ = ["DeleteOptions", "Propagation", "WriteOptions"]

_LONGEST_MANAGER = 128
_DRY_RUNS = ("All",)
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


class Propagation(enum.Enum):
    """What becomes of the objects that an object owns when it is deleted."""

    BACKGROUND = "Background"
    """They are deleted after it."""
    FOREGROUND = "Foreground"
    """They are deleted before it."""
    ORPHAN = "Orphan"
    """They stay, and lose their reference to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How an object is to be written.

    Attributes:
        manager: Who owns the fields that are written; ``""`` for nobody.
        subresource: The subresource that is written, which is part of the owner's name.
        dry_run: Whether the result is only to be shown.
        force: Whether an apply takes the fields of others.
    """

    manager: str = ""
    subresource: str = ""
    dry_run: bool = False
    force: bool = False

    @classmethod
    def parse(
        cls, kind: str, query: Mapping[str, str], *, user_agent: str = "", subresource: str = "", applies: bool = False
    ) -> WriteOptions:
        """Read and check the query of a request.

        Args:
            kind: The kind of the options, which failures name: ``CreateOptions``, ``UpdateOptions``, ``PatchOptions``.
            query: The query.
            user_agent: Names the manager if the query does not.
            subresource: The subresource of the request's path.
            applies: Whether the request is a server-side apply.

        Raises:
            StatusError: 422 if an option cannot be.
        """
        manager, causes = query.get("fieldManager", ""), []
        if applies and not manager:
            causes.append(("fieldManager", "FieldValueRequired", "Required value: is required for apply patch"))
        if kind == "PatchOptions" and "force" in query and not applies:
            causes.append(("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch"))
        if len(manager.encode()) > _LONGEST_MANAGER:
            problem = f"Too long: may not be more than {_LONGEST_MANAGER} bytes"
            causes.append(("fieldManager", "FieldValueTooLong", problem))
        for place, letter in enumerate(manager):
            if not letter.isprintable():
                problem = f"invalid character U+{ord(letter):04X} (at position {place})"
                causes.append(("fieldManager", "FieldValueInvalid", f"Invalid value: {json.dumps(manager)}: {problem}"))
        causes += _unsupported("dryRun", [query["dryRun"]] if "dryRun" in query else [], _DRY_RUNS)
        causes += _unsupported("fieldValidation", query.get("fieldValidation", ""), _VALIDATIONS)
        if causes:
            raise StatusError.invalid_options(causes, kind=kind)
        return cls(
            manager=manager or _manager_of(user_agent) or "unknown",
            subresource=subresource,
            dry_run="dryRun" in query,
            force=query.get("force", "false").lower() not in ("false", "0"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """How an object is to be deleted.

    Attributes:
        uid: Only if it has this uid; None for any.
        version: Only if it has this resourceVersion; None for any.
        propagation: What becomes of what it owns; None for its kind's default.
        dry_run: Whether the result is only to be shown.
    """

    uid: str | None = None
    version: str | None = None
    propagation: Propagation | None = None
    dry_run: bool = False

    @classmethod
    def parse(cls, query: Mapping[str, str], body: Mapping[str, Any] | None) -> DeleteOptions:
        """Read and check the options of a request: those of its body, or if it has none, of its query.

        Raises:
            StatusError: 422 if an option cannot be.
        """
        given = _of_query(query) if body is None else body
        dry_run, policy, orphan = (given.get(name) for name in ("dryRun", "propagationPolicy", "orphanDependents"))
        causes = []
        if orphan is not None and policy is not None:
            problem = (
                f"Invalid value: {json.dumps(policy)}: orphanDependents and deletionPropagation cannot be both set"
            )
            causes.append(("propagationPolicy", "FieldValueInvalid", problem))
        known = [each.value for each in Propagation]
        if policy is not None:
            causes += _unsupported("propagationPolicy", policy, (*known[1::-1], *known[2:], "nil"))
        causes += _unsupported("dryRun", dry_run or [], _DRY_RUNS)
        if causes:
            raise StatusError.invalid_options(causes, kind="DeleteOptions")
        propagation = None if policy is None else Propagation(policy)
        if orphan is not None:
            propagation = Propagation.ORPHAN if orphan else Propagation.BACKGROUND
        conditions = given.get("preconditions") or {}
        return cls(
            uid=conditions.get("uid"),
            version=conditions.get("resourceVersion"),
            propagation=propagation,
            dry_run=bool(dry_run),
        )


def _of_query(query: Mapping[str, str]) -> Mapping[str, Any]:
    given: dict[str, Any] = dict(query)
    if "dryRun" in query:
        given["dryRun"] = [query["dryRun"]]
    if "orphanDependents" in query:
        given["orphanDependents"] = query["orphanDependents"].lower() not in ("false", "0")
    return given


def _unsupported(field: str, given: str | list[str], known: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return the cause for a value, or for values of which one is not known."""
    if all(each in known for each in ([given] if isinstance(given, str) else given)):
        return []
    supported = ", ".join(json.dumps(each) for each in known)
    problem = f"Unsupported value: {json.dumps(given, separators=(',', ':'))}: supported values: {supported}"
    return [(field, "FieldValueNotSupported", problem)]


def _manager_of(user_agent: str) -> str:
    """Return the field manager of a request that names none: its program's name."""
    name = "".join(letter for letter in user_agent.partition("/")[0] if letter.isprintable())
    return name.encode()[:_LONGEST_MANAGER].decode(errors="ignore")
