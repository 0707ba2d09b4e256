"""Formats objects of any kind as rows of text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aioinformers.words import printable

__all__ = ["age_of", "duration", "format_row", "format_table", "headings", "row_of", "status_of"]

_HEALTHY_CONDITIONS = ("Ready", "Available", "Established", "Complete", "Healthy", "Synced")
_UNITS = ((365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def headings(*, is_namespaced: bool, is_wide: bool = False, has_event: bool = False) -> list[str]:
    """Return the headings of the cells that :func:`row_of` returns.

    Args:
        is_namespaced: Whether rows have a namespace.
        is_wide: Whether rows have the resourceVersion and labels.
        has_event: Whether rows begin with an event.
    """
    event = ["EVENT"] if has_event else []
    namespace = ["NAMESPACE"] if is_namespaced else []
    wide = ["RESOURCE-VERSION", "LABELS"] if is_wide else []
    return [*event, *namespace, "NAME", "STATUS", "AGE", *wide]


def row_of(
    obj: Mapping[str, Any], now: datetime, *, is_namespaced: bool, is_wide: bool = False, event: str = ""
) -> list[str]:
    """Return an object's cells, in characters that a terminal shows as they are.

    Args:
        obj: The object as a dict, with the names of its JSON.
        now: The time from which the age is calculated.
        is_namespaced: Whether to show the namespace.
        is_wide: Whether to show the resourceVersion and labels.
        event: The event, shown in a first column; no such column if empty.
    """
    metadata = _mapping(obj.get("metadata"))
    row = [event] if event else []
    if is_namespaced:
        row.append(str(metadata.get("namespace") or "-"))
    row += [str(metadata.get("name")), status_of(obj) or "-", age_of(obj, now)]
    if is_wide:
        labels = sorted(_mapping(metadata.get("labels")).items())
        row += [str(metadata.get("resourceVersion") or "-"), ",".join(f"{k}={v}" for k, v in labels) or "-"]
    return [printable(cell) for cell in row]


def format_row(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row as a line; a cell wider than its column shifts the cells after it.

    Args:
        row: The cells.
        widths: The width of each column in characters.
    """
    return "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def format_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, with columns as wide as their widest cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [format_row(row, widths) for row in rows]


def age_of(obj: Mapping[str, Any], now: datetime) -> str:
    """Return the time since an object was created, such as ``42s`` or ``3h12m``; ``-`` if that is unknown."""
    try:
        created = datetime.fromisoformat(_mapping(obj.get("metadata"))["creationTimestamp"])
    except (KeyError, TypeError, ValueError):
        return "-"
    return duration(now - (created if created.tzinfo else created.replace(tzinfo=UTC)))


def duration(span: timedelta) -> str:
    """Return a time span in its largest one or two units, as kubectl does."""
    seconds = max(int(span.total_seconds()), 0)
    for at, (size, unit) in enumerate(_UNITS):
        count, rest = divmod(seconds, size)
        if not count:
            continue
        if unit == "s" or count >= 10:
            return f"{count}{unit}"
        small, small_unit = _UNITS[at + 1]
        return f"{count}{unit}{rest // small}{small_unit}" if rest // small else f"{count}{unit}"
    return "0s"


def status_of(obj: Mapping[str, Any]) -> str:
    """Return the state of an object in a few words; empty if objects of its kind have no known state."""
    metadata, spec, status = (_mapping(obj.get(part)) for part in ("metadata", "spec", "status"))
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    match obj.get("kind"):
        case "Pod":
            return _pod_status(spec, status)
        case "Node":
            cordoned = ",SchedulingDisabled" if spec.get("unschedulable") else ""
            return (_condition_status(status) or "Unknown") + cordoned
        case "ConfigMap" | "Secret":
            count = len(_mapping(obj.get("data"))) + len(_mapping(obj.get("binaryData")))
            return f"{count} key" if count == 1 else f"{count} keys"
        case "Service":
            return str(spec.get("type") or "ClusterIP")
        case "DaemonSet":
            return f"{status.get('numberReady') or 0}/{status.get('desiredNumberScheduled') or 0} ready"
    if isinstance(replicas := spec.get("replicas"), int):
        return f"{status.get('readyReplicas') or 0}/{replicas} ready"
    for name in ("phase", "state"):
        if isinstance(word := status.get(name), str) and word:
            return word
    return _condition_status(status)


def _pod_status(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    phase = str(status.get("reason") or status.get("phase") or "Unknown")
    containers = [_mapping(container) for container in status.get("containerStatuses") or ()]
    for container in containers:
        state = _mapping(container.get("state"))
        # The reason of a container that cannot start or keeps failing is more useful than the phase.
        reason = _mapping(state.get("waiting")).get("reason") or _mapping(state.get("terminated")).get("reason")
        if reason and phase in ("Pending", "Running"):
            phase = str(reason)
            break
    ready = sum(bool(container.get("ready")) for container in containers)
    return f"{phase} {ready}/{len(spec.get('containers') or ())}"


def _condition_status(status: Mapping[str, Any]) -> str:
    conditions = status.get("conditions")
    if not isinstance(conditions, list):
        return ""
    by_type = {condition.get("type"): condition for condition in map(_mapping, conditions)}
    for name in _HEALTHY_CONDITIONS:
        if name in by_type:
            if by_type[name].get("status") == "True":
                return name
            reason = by_type[name].get("reason")
            return f"Not{name}: {reason}" if reason else f"Not{name}"
    return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    """Return a value if it is a JSON object, otherwise an empty one: custom resources may have values of any type."""
    return value if isinstance(value, Mapping) else {}
