"""Objects of any kind as rows of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["age_of", "duration", "format_row", "format_table", "headings", "row_of", "status_of", "widths_of"]

_HEALTHY_CONDITIONS = ("Ready", "Available", "Established", "Complete", "Healthy", "Synced")
_UNITS = ((365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def headings(*, is_namespaced: bool, is_wide: bool = False, has_event: bool = False) -> list[str]:
    """Return the headings that match :func:`row_of`."""
    event = ["EVENT"] if has_event else []
    namespace = ["NAMESPACE"] if is_namespaced else []
    wide = ["RESOURCE-VERSION", "LABELS"] if is_wide else []
    return [*event, *namespace, "NAME", "STATUS", "AGE", *wide]


def row_of(
    obj: Mapping[str, Any], now: datetime, *, is_namespaced: bool, is_wide: bool = False, event: str = ""
) -> list[str]:
    """Return an object's cells.

    Args:
        obj: The object, as JSON has it.
        now: What ages are counted to.
        is_namespaced: Show the namespace.
        is_wide: Show the resourceVersion and labels.
        event: What happened to it, for a first column.
    """
    metadata = _mapping(obj.get("metadata"))
    row = [event] if event else []
    if is_namespaced:
        row.append(str(metadata.get("namespace") or "-"))
    row += [str(metadata.get("name")), status_of(obj) or "-", age_of(obj, now)]
    if is_wide:
        labels = sorted(_mapping(metadata.get("labels")).items())
        row += [str(metadata.get("resourceVersion") or "-"), ",".join(f"{k}={v}" for k, v in labels) or "-"]
    return row


def widths_of(rows: Iterable[Sequence[str]]) -> list[int]:
    """Return the width of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def format_row(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row as a line; what is wider than its column moves the rest, nothing is cut."""
    return "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, in columns as wide as needed."""
    widths = widths_of(rows)
    return "\n".join(format_row(row, widths) for row in rows)


def age_of(obj: Mapping[str, Any], now: datetime) -> str:
    """Return how long ago an object was created: ``42s``, ``3h12m``; ``-`` if that is not known."""
    try:
        created = datetime.fromisoformat(_mapping(obj.get("metadata"))["creationTimestamp"])
    except (KeyError, TypeError, ValueError):
        return "-"
    return duration(now - (created if created.tzinfo else created.replace(tzinfo=UTC)))


def duration(span: timedelta) -> str:
    """Return a time span in its two largest units that matter, as kubectl does."""
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
    """Return what matters about an object's state in a few words; empty if its kind shows none."""
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
    containers = [_mapping(each) for each in status.get("containerStatuses") or ()]
    for container in containers:
        state = _mapping(container.get("state"))
        # A container that cannot start, or keeps ending, tells more than the phase.
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
    found = {each.get("type"): each for each in map(_mapping, conditions)}
    for name in _HEALTHY_CONDITIONS:
        if name in found:
            if found[name].get("status") == "True":
                return name
            reason = found[name].get("reason")
            return f"Not{name}: {reason}" if reason else f"Not{name}"
    return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    """Return a value that ought to be a JSON object, or an empty one: custom resources may have anything anywhere."""
    return value if isinstance(value, Mapping) else {}
