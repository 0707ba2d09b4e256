"""Conditions, as nearly every status has them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["set_condition"]

_STATUSES = ("True", "False", "Unknown")


def set_condition(
    conditions: Iterable[Mapping[str, Any]] | None,
    type: str,  # noqa: A002  what the API calls it
    status: str | bool | None,
    reason: str,
    message: str = "",
    generation: int | None = None,
    *,
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """Return conditions in which one is set; ``lastTransitionTime`` moves only if its status has changed.

    Nothing that was given is changed. Conditions of other types stay as they are, and where they are.

    Args:
        conditions: Those so far.
        type: The one that is set, such as ``Ready``.
        status: ``"True"``, ``"False"`` or ``"Unknown"``; True, False and None mean these.
        reason: A word for programs.
        message: A sentence for people.
        generation: The object's generation that this is about (``observedGeneration``).
        now: The time; that of the machine by default.

    Raises:
        ValueError: If the status is another text.
        TypeError: If a text is none.
    """
    if status is True or status is False or status is None:
        status = {True: "True", False: "False", None: "Unknown"}[status]
    if status not in _STATUSES:
        raise ValueError(f"the status of a condition is one of {', '.join(_STATUSES)}, not {status!r}")
    for what, text in (("type", type), ("reason", reason), ("message", message)):
        if not isinstance(text, str):
            raise TypeError(f"the {what} of a condition is a text, not {text!r}")
    found = [dict(each) for each in conditions or ()]
    at = next((number for number, each in enumerate(found) if each.get("type") == type), None)
    before = {} if at is None else found[at]
    is_same = before.get("status") == status and before.get("lastTransitionTime")
    moment = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = {
        "type": type,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": before["lastTransitionTime"] if is_same else moment,
    }
    if generation is not None:
        made["observedGeneration"] = generation
    if at is None:
        return [*found, made]
    return [*found[:at], made, *found[at + 1 :]]
