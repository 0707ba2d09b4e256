"""Events as a consumer gets them: made of records, decoded when touched."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest
from kubernetes_asyncio import client

from aioinformers.delivery.events import Added, Deleted, Event, EventFactory, Updated
from aioinformers.delivery.mailbox import ADDED, DELETED, UPDATED, Record
from aioinformers.objects.layout import Entry
from aioinformers.objects.object_types import ObjectType, object_type_of
from aioinformers.types import Cause, GroupVersionResource, ObjectKey

PODS = GroupVersionResource("", "v1", "pods")
KEY = "prod/web"


def entry(version: str) -> Entry:
    body = (
        b'{"metadata":{"namespace":"prod","name":"web","resourceVersion":"%s"},"secret":"hunter2"}' % version.encode()
    )
    return Entry(body, "u", version, ("prod",))


OLD, NEW = entry("1"), entry("2")
ADDITION = Record(ADDED, KEY, NEW, None, Cause.LIST, initial=True)
UPDATE = Record(UPDATED, KEY, NEW, OLD, Cause.WATCH)
RESYNC = Record(UPDATED, KEY, NEW, NEW, Cause.RESYNC)
DELETION = Record(DELETED, KEY, NEW, OLD, Cause.RELIST, known=False)
RECORDS = [ADDITION, UPDATE, RESYNC, DELETION]


class CountedType(ObjectType[dict[str, Any]]):
    """Counts what is decoded."""

    def __init__(self) -> None:
        self.decoded: list[bytes] = []
        super().__init__(dict, self.count)

    def count(self, body: bytes) -> dict[str, Any]:
        self.decoded.append(body)
        found: dict[str, Any] = msgspec.json.decode(body)
        return found


@pytest.fixture
def counted() -> CountedType:
    return CountedType()


def version_of(obj: Any) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version


def test_an_addition_tells_whether_it_was_there_before(counted: CountedType) -> None:
    event = EventFactory(PODS, counted).make(ADDITION)
    assert isinstance(event, Added)
    assert (event.initial, event.cause, version_of(event.object)) == (True, Cause.LIST, "2")
    later = EventFactory(PODS, counted).make(Record(ADDED, KEY, NEW, None, Cause.WATCH))
    assert isinstance(later, Added)
    assert (later.initial, later.cause) == (False, Cause.WATCH)


def test_an_update_shows_both_states(counted: CountedType) -> None:
    event = EventFactory(PODS, counted).make(UPDATE)
    assert isinstance(event, Updated)
    assert (version_of(event.old), version_of(event.object), event.cause) == ("1", "2", Cause.WATCH)


def test_a_deletion_tells_whether_its_final_state_is_known(counted: CountedType) -> None:
    event = EventFactory(PODS, counted).make(DELETION)
    assert isinstance(event, Deleted)
    assert (event.final_state_known, event.cause, version_of(event.object)) == (False, Cause.RELIST, "2")


def test_the_old_object_of_a_resync_is_the_object(counted: CountedType) -> None:
    """In whatever order they are asked for."""
    for first, second in (("old", "object"), ("object", "old")):
        event = EventFactory(PODS, counted).make(RESYNC)
        assert isinstance(event, Updated)
        assert getattr(event, first) is getattr(event, second)
    assert len(counted.decoded) == 2


@pytest.mark.parametrize("record", RECORDS)
def test_nothing_is_decoded_until_it_is_touched_and_then_once(record: Record, counted: CountedType) -> None:
    event = EventFactory(PODS, counted).make(record)
    assert (event.key, event.resource, event.cause) == (ObjectKey("prod", "web"), PODS, record.cause)
    assert str(event.key) in repr(event)
    assert counted.decoded == []
    assert event.object is event.object
    assert counted.decoded == [NEW.body]
    if isinstance(event, Updated):
        assert event.old is event.old
        assert len(counted.decoded) == 1 + (record is UPDATE)


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("python_type", [dict, client.V1Pod])
def test_g13_each_event_has_an_object_of_its_own(record: Record, python_type: Any) -> None:
    """What one handler does to it does not reach the next one."""
    factory = EventFactory(PODS, object_type_of(python_type))
    one, two = factory.make(record), factory.make(record)
    assert one.object is not two.object
    if isinstance(one, Updated) and record is UPDATE:
        assert one.old is not one.object


def test_the_kind_is_filled_in_even_if_it_was_learnt_later() -> None:
    """The factory is made before the first list."""
    kind = object_type_of(dict)
    factory = EventFactory(PODS, kind)
    kind.learn_kind("Pod", "v1")
    assert factory.make(ADDITION).object["kind"] == factory.decode(NEW)["kind"] == "Pod"


@pytest.mark.parametrize("record", RECORDS)
def test_g16_a_repr_shows_no_content(record: Record) -> None:
    """It ends up in logs: of errors, of tasks, of tracebacks."""
    event = EventFactory(PODS, object_type_of(dict)).make(record)
    for _ in range(2):  # before and after decoding
        assert "hunter2" not in f"{event!r} {event!s}"
        assert "pods.v1 prod/web" in repr(event)
        assert event.object


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (ADDITION, "Added(pods.v1 prod/web, initial=True, cause=LIST)"),
        (UPDATE, "Updated(pods.v1 prod/web, cause=WATCH)"),
        (RESYNC, "Updated(pods.v1 prod/web, cause=RESYNC)"),
        (DELETION, "Deleted(pods.v1 prod/web, final_state_known=False, cause=RELIST)"),
    ],
)
def test_a_repr_names_what_happened(record: Record, text: str) -> None:
    assert repr(EventFactory(PODS, object_type_of(dict)).make(record)) == text


def told(event: Event[Any]) -> str:
    match event:
        case Added(object=obj, initial=initial):
            return f"added {version_of(obj)} {initial}"
        case Updated(old=before, object=obj):
            return f"updated {version_of(before)} {version_of(obj)}"
        case Deleted(object=obj, final_state_known=known):
            return f"deleted {version_of(obj)} {known}"


def test_events_are_matched_by_class_and_attributes(counted: CountedType) -> None:
    """As the documentation shows it; the events that users make for their own tests too."""
    factory = EventFactory(PODS, counted)
    expected = ["added 2 True", "updated 1 2", "updated 2 2", "deleted 2 False"]
    assert [told(factory.make(record)) for record in RECORDS] == expected
    old, new = msgspec.json.decode(OLD.body), msgspec.json.decode(NEW.body)
    made: list[Event[Any]] = [Added(new, initial=True), Updated(old, new), Updated(new, new), Deleted(new, False)]
    assert list(map(told, made)) == expected


def test_positional_patterns_see_the_object_first(counted: CountedType) -> None:
    match EventFactory(PODS, counted).make(ADDITION):
        case Added(obj, True):
            assert version_of(obj) == "2"
        case _:
            pytest.fail("no match")


@pytest.mark.parametrize("record", RECORDS)
def test_events_are_frozen(record: Record) -> None:
    event = EventFactory(PODS, object_type_of(dict)).make(record)
    for name in ("object", "old", "cause", "key", "resource", "initial", "anything"):
        with pytest.raises(AttributeError):
            setattr(event, name, None)


def test_events_are_equal_to_themselves_only() -> None:
    """Comparing contents would decode them; an event can be a member of a set."""
    factory = EventFactory(PODS, object_type_of(dict))
    one, two = factory.make(ADDITION), factory.make(ADDITION)
    assert one != two
    assert {one, two, one} == {one, two}


@pytest.mark.parametrize("record", RECORDS)
def test_a_copy_of_an_event_shows_the_same(record: Record) -> None:
    event = EventFactory(PODS, object_type_of(dict)).make(record)
    plain = next(kind for kind in (Added, Updated, Deleted) if isinstance(event, kind))
    for copied in (copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))):
        assert isinstance(copied, plain)
        for name in plain.__struct_fields__:
            assert getattr(copied, name) == getattr(event, name)


def test_users_see_the_classes_that_they_know() -> None:
    factory = EventFactory(PODS, object_type_of(dict))
    names = [type(factory.make(record)).__qualname__ for record in (ADDITION, UPDATE, DELETION)]
    assert names == ["Added", "Updated", "Deleted"]


def test_the_key_of_a_cluster_scoped_object_has_no_namespace() -> None:
    record = Record(ADDED, "node-1", NEW, None, Cause.WATCH)
    assert EventFactory(PODS, object_type_of(dict)).make(record).key == ObjectKey("", "node-1")


def test_what_is_decoded_is_kept_only_where_several_may_read_it() -> None:
    object_type = object_type_of(client.V1Pod)
    entry = Entry(b'{"metadata":{"name":"a"},"status":{"phase":"Running"}}', "u", "1", ("",))
    factory: EventFactory[Any] = EventFactory(PODS, object_type)
    assert factory.decode(entry).status.phase == "Running"
    assert isinstance(entry.body, bytes)
    factory.share(is_shared=True)
    assert factory.decode(entry).status.phase == "Running"
    assert not isinstance(entry.body, bytes)
    factory.share(is_shared=False)
    assert factory.decode(entry).status.phase == "Running"
