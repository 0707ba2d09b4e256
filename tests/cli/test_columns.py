"""Objects of any kind as rows of text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aioinformers.cli.columns import age_of, duration, format_row, format_table, headings, row_of, status_of

NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("obj", "status"),
    [
        ({"kind": "Pod", "spec": {"containers": [{}, {}]}, "status": {"phase": "Running"}}, "Running 0/2"),
        (
            {
                "kind": "Pod",
                "spec": {"containers": [{}]},
                "status": {
                    "phase": "Running",
                    "containerStatuses": [{"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
                },
            },
            "CrashLoopBackOff 0/1",
        ),
        ({"kind": "Pod", "metadata": {"deletionTimestamp": "2025-06-01T12:00:00Z"}}, "Terminating"),
        ({"kind": "Pod", "status": {"phase": "Failed", "reason": "Evicted"}}, "Evicted 0/0"),
        (
            {"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletDown"}]}},
            "NotReady: KubeletDown",
        ),
        (
            {
                "kind": "Node",
                "spec": {"unschedulable": True},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            },
            "Ready,SchedulingDisabled",
        ),
        ({"kind": "Node"}, "Unknown"),
        ({"kind": "ConfigMap", "data": {"a": "1"}}, "1 key"),
        ({"kind": "Secret", "data": {"a": "1"}, "binaryData": {"b": "2"}}, "2 keys"),
        ({"kind": "Service", "spec": {"type": "NodePort"}}, "NodePort"),
        ({"kind": "DaemonSet", "status": {"numberReady": 1, "desiredNumberScheduled": 3}}, "1/3 ready"),
        ({"kind": "Deployment", "spec": {"replicas": 3}, "status": {"readyReplicas": 2}}, "2/3 ready"),
        ({"kind": "StatefulSet", "spec": {"replicas": 1}}, "0/1 ready"),
        ({"kind": "Namespace", "status": {"phase": "Active"}}, "Active"),
        ({"kind": "Widget", "status": {"state": "Painted"}}, "Painted"),
        ({"kind": "Widget", "status": "a text"}, ""),
        ({"kind": "Widget", "status": {"conditions": [{"type": "Available", "status": "False"}]}}, "NotAvailable"),
        ({"kind": "Widget", "status": {"conditions": ["odd"]}}, ""),
    ],
)
def test_status_says_what_matters(obj: dict[str, Any], status: str) -> None:
    assert status_of(obj) == status


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=42), "42s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(minutes=9, seconds=5), "9m5s"),
        (timedelta(minutes=10, seconds=5), "10m"),
        (timedelta(hours=3, minutes=12), "3h12m"),
        (timedelta(days=2, hours=4), "2d4h"),
        (timedelta(days=400), "1y35d"),
    ],
)
def test_durations_have_at_most_two_units(span: timedelta, words: str) -> None:
    assert duration(span) == words


def test_ages_that_are_not_known_are_a_dash() -> None:
    assert age_of({"metadata": {"creationTimestamp": "2025-06-01T11:59:00Z"}}, NOW) == "1m"
    assert age_of({"metadata": {"creationTimestamp": "yesterday"}}, NOW) == "-"
    assert age_of({"metadata": {}}, NOW) == "-"
    assert age_of({}, NOW) == "-"


def test_tables_are_as_wide_as_needed() -> None:
    assert format_table([["NAME", "AGE"], ["a-long-name", "1s"]]) == ["NAME          AGE", "a-long-name   1s"]


@pytest.mark.parametrize("is_namespaced", [True, False])
@pytest.mark.parametrize("is_wide", [True, False])
@pytest.mark.parametrize("event", ["", "ADDED"])
@pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": {"name": "x", "namespace": "y", "labels": [1]}}])
def test_every_row_fits_its_headings(obj: dict[str, Any], event: str, is_wide: bool, is_namespaced: bool) -> None:
    """Whatever a custom resource may have in the place of its metadata."""
    titles = headings(is_namespaced=is_namespaced, is_wide=is_wide, has_event=bool(event))
    row = row_of(obj, NOW, is_namespaced=is_namespaced, is_wide=is_wide, event=event)
    assert len(row) == len(titles)
    assert all(row)


def test_a_row_shows_what_its_headings_say() -> None:
    metadata = {"name": "web", "namespace": "shop", "resourceVersion": "7", "labels": {"b": "2", "a": "1"}}
    obj = {"kind": "Namespace", "metadata": metadata, "status": {"phase": "Active"}}
    row = row_of(obj, NOW, is_namespaced=True, is_wide=True, event="ADDED")
    assert dict(zip(headings(is_namespaced=True, is_wide=True, has_event=True), row, strict=True)) == {
        "EVENT": "ADDED", "NAMESPACE": "shop", "NAME": "web", "STATUS": "Active", "AGE": "-", "RESOURCE-VERSION": "7",
        "LABELS": "a=1,b=2",
    }  # fmt: skip


def test_what_is_wider_than_its_column_is_not_cut() -> None:
    assert format_row(["much too long", "x"], [4, 4]) == "much too long   x"


def test_g16_no_cell_gives_orders_to_a_terminal() -> None:
    """Whatever of an object stands in it."""
    hostile = "\x1b[2J\x9b\u202e\n"
    metadata = {"name": hostile, "namespace": hostile, "resourceVersion": hostile, "labels": {hostile: hostile}}
    for status in ({"phase": hostile}, {"conditions": [{"type": "Ready", "status": "False", "reason": hostile}]}):
        obj = {"kind": "Widget", "metadata": metadata, "status": status}
        row = row_of(obj, NOW, is_namespaced=True, is_wide=True, event="ADDED")
        assert all(cell.isprintable() for cell in row)
        assert sum(r"\x1b[2J\x9b\u202e" in cell for cell in row) == 5
