"""What leaders and recorders write: Leases, and Events under both of their names."""

from __future__ import annotations

from typing import Any

from tests.conformance.rest import Rest
from tests.conformance.test_objects import failure

COORDINATION, EVENTS = "coordination.k8s.io/v1", "events.k8s.io/v1"
TIME = "2026-01-02T03:04:05.000006Z"


async def test_a_lease_is_held_by_who_writes_it_first(rest: Rest) -> None:
    """Its version decides, and times keep their microseconds."""
    path = rest.path("leases", "x", group=COORDINATION)
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15, "acquireTime": TIME, "renewTime": TIME}
    made = await rest.post(rest.path("leases", group=COORDINATION), {"metadata": {"name": "x"}, "spec": spec})
    assert (made.status, made.json["spec"]) == (201, spec)

    taken = await rest.put(path, made.json | {"spec": spec | {"holderIdentity": "b", "leaseTransitions": 1}})
    assert (taken.status, taken.json["spec"]["holderIdentity"]) == (200, "b")
    late = await rest.put(path, made.json | {"spec": spec | {"holderIdentity": "c"}})
    assert failure(late) == (409, "Conflict", {"name": "x", "group": "coordination.k8s.io", "kind": "leases"})
    assert "generation" not in taken.json["metadata"]


async def test_a_put_creates_a_lease(rest: Rest) -> None:
    """And Events and a few others, but not most objects; the name has to be said."""
    path = rest.path("leases", "x", group=COORDINATION)
    spec = {"holderIdentity": "a", "leaseDurationSeconds": 15}
    nameless = await rest.put(path, {"metadata": {}, "spec": spec})
    assert failure(nameless) == (400, "BadRequest", None)
    other = await rest.put(path, {"metadata": {"name": "y"}, "spec": spec})
    assert failure(other) == (400, "BadRequest", None)
    lost = await rest.put(path, {"metadata": {"name": "x", "uid": "gone", "resourceVersion": "1"}, "spec": spec})
    assert failure(lost)[:2] == (409, "Conflict")
    made = await rest.put(path, {"metadata": {"name": "x", "resourceVersion": "1"}, "spec": spec})
    again = await rest.put(path, made.json)

    assert (made.status, again.status, again.version) == (201, 200, made.version)
    blind = await rest.put(path, {"metadata": {"name": "x"}, "spec": spec})
    status, reason, details = failure(blind)
    assert (status, reason, details["kind"], details["group"]) == (422, "Invalid", "leases", "coordination.k8s.io")
    assert [each["field"] for each in details["causes"]] == ["metadata.resourceVersion"]
    assert (await rest.put(rest.path("configmaps", "x"), {"metadata": {"name": "x"}})).status == 404


def event(rest: Rest, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "eventTime": TIME,
        "reportingController": "example.com/recorder",
        "reportingInstance": "recorder-1",
        "action": "Scaling",
        "reason": "Scaled",
        "type": "Normal",
        "note": "to 3",
        "regarding": {"kind": "Pod", "namespace": rest.namespace, "name": "p", "uid": "u"},
        **fields,
    }


async def test_an_event_has_two_names(rest: Rest) -> None:
    """What is written under one is read under the other, in the same version."""
    made = await rest.post(rest.path("events", group=EVENTS), event(rest, "x"))
    assert made.status == 201, made.body
    core = await rest.get(rest.path("events", "x"))
    assert (core.json["apiVersion"], core.json["message"], core.json["reportingComponent"]) == (
        "v1", "to 3", "example.com/recorder",
    )  # fmt: skip
    assert core.json["involvedObject"] == made.json["regarding"]
    assert (core.json["eventTime"], core.version) == (TIME, made.version)

    series = {"count": 2, "lastObservedTime": TIME}
    patched = await rest.patch(rest.path("events", "x", group=EVENTS), {"series": series})
    assert (patched.status, patched.json["series"]) == (200, series)
    assert (await rest.get(rest.path("events", "x"))).json["series"] == series
    for group in ("", EVENTS):
        seen = await rest.watch(rest.path("events", group=group), resourceVersion=made.version)
        assert [(each.type, each.version) for each in seen] == [("MODIFIED", patched.version)]
    assert (await rest.delete(rest.path("events", "x"))).status == 200
    assert (await rest.get(rest.path("events", "x", group=EVENTS))).status == 404


async def test_events_are_selected_by_what_they_are_about(rest: Rest) -> None:
    """By the field names of each group."""
    for name, about in (("x", "p"), ("y", "q")):
        regarding = {"kind": "Pod", "namespace": rest.namespace, "name": about, "uid": f"u-{about}"}
        made = await rest.post(rest.path("events", group=EVENTS), event(rest, name, regarding=regarding))
        assert made.status == 201, made.body
    for group, selector in (
        ("", "involvedObject.name=q,involvedObject.kind=Pod"),
        (EVENTS, "regarding.name=q,reason=Scaled"),
        ("", "reportingComponent=example.com/recorder,involvedObject.uid=u-q"),
        (EVENTS, "reportingController=example.com/recorder,regarding.uid=u-q"),
    ):
        listed = await rest.get(rest.path("events", group=group), fieldSelector=selector)
        assert [each["metadata"]["name"] for each in listed.json["items"]] == ["y"], selector
    refused = await rest.get(rest.path("events", group=EVENTS), fieldSelector="involvedObject.name=q")
    assert failure(refused)[:2] == (400, "BadRequest")
