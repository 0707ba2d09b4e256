"""Mailboxes: random histories of a store against consumers of any pace (SEMANTICS: exact, then merged)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aioinformers.delivery.mailbox import (
    ADDED,
    DELETED,
    UPDATED,
    InitialState,
    KeyedMailbox,
    Mailbox,
    Observer,
    Pending,
    Record,
    merge,
)
from aioinformers.objects.layout import Entry
from aioinformers.types import Cause

SECOND_SCOPE = "d"
KEYS = ["a", "b", "c", SECOND_SCOPE]
MOST = 2 * len(KEYS)
"""Merged records that there can be: two per key."""


def entry(version: str = "1", uid: str = "u") -> Entry:
    return Entry(b"{}", uid, version, ("",))


O1, O2, P, D = entry("1"), entry("2"), entry("0"), entry("3")


def added(key: str, new: Entry = O1, cause: Cause = Cause.WATCH, *, initial: bool = False) -> Record:
    return Record(ADDED, key, new, None, cause, initial=initial)


def state(*items: tuple[str, Entry]) -> InitialState:
    return InitialState([key for key, _ in items], [new for _, new in items])


def updated(key: str, old: Entry = O1, new: Entry = O2, cause: Cause = Cause.WATCH) -> Record:
    return Record(UPDATED, key, new, old, cause)


def resynced(key: str, same: Entry = O1) -> Record:
    return Record(UPDATED, key, same, same, Cause.RESYNC)


def deleted(key: str, base: Entry = O1, last: Entry = D, cause: Cause = Cause.WATCH, *, known: bool = True) -> Record:
    return Record(DELETED, key, last, base, cause, known=known)


def keys(records: Iterable[Record]) -> list[str]:
    return [record.key for record in records]


def merge_all(mailbox: Mailbox) -> None:
    while mailbox.merge_next():
        pass


def pending_keys(mailbox: Mailbox) -> set[str]:
    return set[str]().union(*mailbox.pending_keys())


def dropped_by(mailbox: Mailbox) -> int:
    """Clear a mailbox; return how many records that dropped."""
    before = mailbox.pending
    mailbox.clear()
    return before - mailbox.pending


def drain(mailbox: Mailbox) -> list[Record]:
    taken: list[Record] = []
    while (records := mailbox.take()) is not None:
        taken += records
    return taken


def test_what_is_merged_has_waited_since_the_first_of_it_arrived() -> None:
    """A resync has not arrived: what is merged with it has since then."""

    def at(record: Record, arrived: float) -> Record:
        return msgspec.structs.replace(record, arrived=arrived)

    for tail, incoming in [
        (added("k"), updated("k")), (updated("k"), updated("k")), (updated("k"), deleted("k")),
    ]:  # fmt: skip
        assert merge((at(tail, 3.0),), at(incoming, 5.0))[0].arrived == 3.0
        assert merge((tail,), at(incoming, 5.0))[0].arrived == 5.0
    assert [record.arrived for record in merge((at(deleted("k"), 3.0),), at(added("k"), 5.0))] == [3.0, 5.0]


def test_an_observer_is_shown_what_is_put_and_keeps_nothing() -> None:
    told: list[Sequence[Record]] = []
    observer, batch, listed = Observer(told.append), [updated("a")], state(("a", O1), ("b", O1))
    observer.put(batch)
    observer.put_list([listed], 2)
    assert told[0] is batch
    assert told[1] is listed
    assert (observer.pending, observer.take(), observer.merge_next()) == (0, None, False)


# -- merge: every cell of the table -------------------------------------------------------------------------------

ADD = added("k", O1, Cause.LIST, initial=True)
UPDATE = updated("k", P, O1, Cause.WATCH)
RESYNC = resynced("k", O1)
DELETE = deleted("k", P, D)
TAILS: dict[str, Pending] = {
    "none": (),
    "added": (ADD,),
    "updated": (UPDATE,),
    "resync": (RESYNC,),
    "deleted": (DELETE,),
    "deleted, added": (DELETE, added("k", O1, Cause.RELIST)),
}
NEXT_UPDATE = updated("k", O1, O2, Cause.RELIST)
NEXT_RESYNC = resynced("k", O1)
NEXT_DELETE = deleted("k", O1, O2, Cause.RELIST, known=False)
NEXT_ADD = added("k", O2, Cause.WATCH)


@pytest.mark.parametrize(
    ("tail", "incoming", "expected"),
    [
        ("none", NEXT_UPDATE, (NEXT_UPDATE,)),
        ("none", NEXT_RESYNC, (NEXT_RESYNC,)),
        ("none", NEXT_DELETE, (NEXT_DELETE,)),
        ("none", NEXT_ADD, (NEXT_ADD,)),
        ("added", NEXT_UPDATE, (added("k", O2, Cause.LIST, initial=True),)),
        ("added", NEXT_RESYNC, (ADD,)),
        ("added", NEXT_DELETE, ()),
        ("updated", NEXT_UPDATE, (updated("k", P, O2, Cause.RELIST),)),
        ("updated", NEXT_RESYNC, (UPDATE,)),
        ("updated", NEXT_DELETE, (deleted("k", P, O2, Cause.RELIST, known=False),)),
        ("resync", NEXT_UPDATE, (updated("k", O1, O2, Cause.RELIST),)),
        ("resync", NEXT_RESYNC, (RESYNC,)),
        ("resync", NEXT_DELETE, (deleted("k", O1, O2, Cause.RELIST, known=False),)),
        ("deleted", NEXT_ADD, (DELETE, NEXT_ADD)),
        ("deleted, added", NEXT_UPDATE, (DELETE, added("k", O2, Cause.RELIST))),
        ("deleted, added", NEXT_RESYNC, TAILS["deleted, added"]),
        ("deleted, added", NEXT_DELETE, (DELETE,)),
    ],
)
def test_merge_keeps_what_a_consumer_must_be_told(tail: str, incoming: Record, expected: Pending) -> None:
    """Row and column of SEMANTICS 3; the result's base is what the consumer was last given."""
    assert merge(TAILS[tail], incoming) == expected


@pytest.mark.parametrize(
    ("tail", "incoming"),
    [
        ("added", NEXT_ADD),
        ("updated", NEXT_ADD),
        ("resync", NEXT_ADD),
        ("deleted", NEXT_UPDATE),
        ("deleted", NEXT_RESYNC),
        ("deleted", NEXT_DELETE),
        ("deleted, added", NEXT_ADD),
    ],
)
def test_merge_refuses_what_no_store_produces(tail: str, incoming: Record) -> None:
    """Silence would hide a bug of the dispatcher."""
    with pytest.raises(AssertionError, match="a store cannot produce"):
        merge(TAILS[tail], incoming)


# -- random histories ---------------------------------------------------------------------------------------------


class Reader:
    """A consumer at its own pace, and what it knows from what it has been given."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        mailbox.wake = self.on_wake
        mailbox.initial_done = self.on_initial_done
        self.given: dict[str, Entry] = {}
        self.expected: list[Record] = []
        self.delivered: list[Record] = []
        self.settled = 0
        self.initial_lists = 0
        self.initial_dones = 0
        self.is_over_limit = False
        self.has_taken_a_list = False
        self.is_asleep = False
        self.busy: dict[str, Record] = {}

    def on_wake(self) -> None:
        assert self.is_asleep, "woken while awake"
        assert not self.mailbox.is_idle
        self.is_asleep = False

    def on_initial_done(self) -> None:
        assert self.mailbox.initial_pending == 0
        self.initial_dones += 1

    def sleep(self) -> None:
        self.mailbox.is_idle = True
        self.is_asleep = True

    def put(self, records: list[Record], *, as_list: bool = False) -> None:
        mailbox, before = self.mailbox, self.mailbox.pending
        self.expected += records
        if as_list:
            initial = sum(record.initial for record in records)
            self.initial_lists += bool(initial) and not mailbox.initial_pending
            mailbox.put_list([records[:3], records[3:]], initial)
            self.has_taken_a_list = True
        else:
            mailbox.put(records)
        self.is_over_limit = self.is_over_limit or before + len(records) > mailbox.limit

    def deliver(self, record: Record) -> None:
        """Check a record against what was given before, as replaying a consumer's events does."""
        last = self.given.get(record.key)
        assert record.base is last, "the base is what the consumer was last given"
        if record.type == ADDED:
            assert last is None
        else:
            assert last is not None
            assert record.type != UPDATED or last.uid == record.entry.uid
            assert int(record.entry.version) >= int(last.version)
            assert (record.entry is last) == (record.cause is Cause.RESYNC) or record.type == DELETED
        if record.type == DELETED:
            del self.given[record.key]
        else:
            self.given[record.key] = record.entry
        self.delivered.append(record)
        assert record.key not in self.busy, "two at once for one key"
        self.busy[record.key] = record

    def settle(self, record: Record) -> None:
        del self.busy[record.key]
        self.mailbox.settle(record)
        self.settled += 1

    def step(self) -> bool:
        """Deliver something if there is anything to deliver now."""
        raise NotImplementedError

    def finish(self, which: int) -> None:
        """Let a handler return."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class SerialReader(Reader):
    def __init__(self, limit: int | None) -> None:
        super().__init__(Mailbox(limit))
        self.records: Iterator[Record] = iter(())

    def step(self) -> bool:
        if self.busy:
            return False
        while (record := next(self.records, None)) is None:
            records = self.mailbox.take()
            if records is None:
                self.sleep()
                return False
            self.records = records
        self.deliver(record)
        return True

    def finish(self, which: int) -> None:
        for record in list(self.busy.values()):
            self.settle(record)

    def close(self) -> None:
        before, taken = self.mailbox.pending, len(self.busy) + len(list(self.records))
        assert dropped_by(self.mailbox) == before - taken
        assert self.mailbox.pending == taken
        assert self.mailbox.take() is None


class KeyedReader(Reader):
    mailbox: KeyedMailbox

    def __init__(self, limit: int | None) -> None:
        super().__init__(KeyedMailbox(limit))

    def step(self) -> bool:
        record = self.mailbox.next()
        if record is None:
            self.sleep()
            return False
        self.deliver(record)
        return True

    def finish(self, which: int) -> None:
        if self.busy:
            key = list(self.busy)[which % len(self.busy)]
            self.settle(self.busy[key])
            record = self.mailbox.release(key)
            if record is not None:
                assert record.key == key
                self.deliver(record)

    def close(self) -> None:
        before = self.mailbox.pending
        assert dropped_by(self.mailbox) == before - len(self.busy)
        assert self.mailbox.pending == len(self.busy)
        assert self.mailbox.next() is None
        for key in list(self.busy):
            assert self.mailbox.release(key) is None
        assert self.mailbox.busy_keys == []


operations = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(["put", "put", "recreate", "delete"])), min_size=1, max_size=6
)
limits = st.sampled_from([1, 2, 6, None])


class Histories(RuleBasedStateMachine):
    """One store, written as the dispatcher does, and a consumer that joins, falls behind and catches up."""

    reader_type: type[SerialReader | KeyedReader]

    def __init__(self) -> None:
        super().__init__()
        self.store: dict[str, Entry] = {}
        self.version = itertools.count(1)
        self.has_second_scope = False
        self.archive = SerialReader(None)  # gets the same segments and keeps them to the end

    @initialize(operations=operations, limit=limits)
    def start(self, operations: list[tuple[str, str]], limit: int | None) -> None:
        for key, operation in operations:
            list(self.watch_event(key, operation))
        self.join(None, self.archive)
        self.join(limit)

    # -- the store's side

    @rule(operations=operations)
    def change(self, operations: list[tuple[str, str]]) -> None:
        """Apply a batch of a watch."""
        records = [record for key, operation in operations for record in self.watch_event(key, operation)]
        if records:
            self.put(records)

    @rule(operations=operations)
    def change_more(self, operations: list[tuple[str, str]]) -> None:
        """Changes come twice as often as anything else."""
        self.change(operations)

    @rule(segments=st.integers(1, 3))
    def merge(self, segments: int) -> None:
        """Merge some of a list that there was no room for, as the dispatcher does."""
        for _ in range(segments):
            self.reader.mailbox.merge_next()

    def put(self, records: list[Record], *, as_list: bool = False) -> None:
        self.reader.put(records, as_list=as_list)
        self.archive.put(records, as_list=as_list)

    def watch_event(self, key: str, operation: str) -> Iterator[Record]:
        old = self.store.get(key)
        version = str(next(self.version))
        if key == SECOND_SCOPE and not self.has_second_scope:
            return
        if operation == "delete":
            if old is not None:
                del self.store[key]
                yield deleted(key, old, entry(version, old.uid))
            return
        uid = f"u{version}" if old is None or operation == "recreate" else old.uid
        new = self.store[key] = entry(version, uid)
        if old is None:
            yield added(key, new)
        elif old.uid == uid:
            yield updated(key, old, new)
        else:
            yield deleted(key, old, old, known=False)
            yield added(key, new)

    @rule(operations=operations)
    def relist(self, operations: list[tuple[str, str]]) -> None:
        """Commit a list that shows what has happened meanwhile: deletions first."""
        before = dict(self.store)
        for key, operation in operations:
            list(self.watch_event(key, operation))
        records: list[Record] = []
        for key, old in before.items():
            new = self.store.get(key)
            if new is None or new.uid != old.uid:
                records.append(deleted(key, old, old, Cause.RELIST, known=False))
        for key, new in self.store.items():
            was = before.get(key)
            if was is None or was.uid != new.uid:
                records.append(added(key, new, Cause.RELIST))
            elif was is not new:
                records.append(updated(key, was, new, Cause.RELIST))
        self.put(records, as_list=True)

    @precondition(lambda self: not self.has_second_scope)
    @rule()
    def second_scope(self) -> None:
        """Commit the first list of another scope: initial objects that may meet a full mailbox."""
        self.has_second_scope = True
        new = self.store[SECOND_SCOPE] = entry(str(next(self.version)))
        self.put([added(SECOND_SCOPE, new, Cause.LIST, initial=True)], as_list=True)

    def join(self, limit: int | None, reader: Reader | None = None) -> None:
        """Let a consumer join at any moment: it gets the store's state first (G4)."""
        self.reader = reader = reader or self.reader_type(limit)
        items = list(self.store.items())
        segments = [state(*items[at : at + 2]) for at in range(0, len(items), 2)]
        if items:
            reader.mailbox.put_list(segments, len(items))
        reader.expected = [added(key, new, Cause.LIST, initial=True) for key, new in items]
        reader.initial_lists = bool(items)
        reader.is_over_limit = len(items) > reader.mailbox.limit
        reader.has_taken_a_list = len(items) > reader.mailbox.limit

    # -- the consumer's side

    @rule(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.reader.step()

    @rule(count=st.integers(1, 4))
    def handle(self, count: int) -> None:
        for which in range(count):
            self.reader.finish(which)
            self.reader.step()

    @rule(which=st.integers(0, 3))
    def finish(self, which: int) -> None:
        self.reader.finish(which)

    @rule(skips=st.booleans())
    def resync(self, skips: bool) -> None:
        """Tell the consumer what it knows; keys with something pending may be skipped, but need not be."""
        skipped = pending_keys(self.reader.mailbox) | self.reader.busy.keys() if skips else set()
        if records := [resynced(key, same) for key, same in self.store.items() if key not in skipped]:
            self.reader.put(records)

    @rule(chance=st.integers(0, 5))
    def catch_up(self, chance: int) -> None:
        if chance == 0:
            self.drain(self.reader)

    @rule(chance=st.integers(0, 5), limit=limits)
    def leave_and_join(self, chance: int, limit: int | None) -> None:
        if chance == 0:
            self.reader.close()
            self.join(limit)

    def drain(self, reader: Reader) -> None:
        """Once a consumer has caught up, it knows the store's state, and all counts are zero."""
        mailbox = reader.mailbox
        announced, busy = pending_keys(mailbox), len(reader.busy)
        pending, initial, begin = mailbox.pending, mailbox.initial_pending, len(reader.delivered)
        initial -= sum(record.initial for record in reader.busy.values())
        while reader.step() or reader.busy:
            reader.finish(0)
        came = reader.delivered[begin:]
        if isinstance(reader, SerialReader):  # a keyed one may merge what it parks meanwhile
            assert len(came) == pending - busy
            assert sum(record.initial for record in came) == initial
            assert set(keys(came)) == announced
        assert set(keys(came)) <= announced
        assert reader.given == self.store
        assert all(reader.given[key] is self.store[key] for key in self.store)
        assert (mailbox.pending, mailbox.initial_pending, pending_keys(mailbox)) == (0, 0, set())
        assert mailbox.coalesced == len(reader.expected) - len(reader.delivered)

    # -- what holds at any moment

    @invariant()
    def counts_are_exact(self) -> None:
        mailbox = self.reader.mailbox
        assert mailbox.pending == len(self.reader.expected) - self.reader.settled - mailbox.coalesced
        assert mailbox.high_water >= mailbox.pending >= mailbox.initial_pending >= 0

    @invariant()
    def initial_done_is_called_whenever_there_are_no_more(self) -> None:
        assert self.reader.initial_dones == self.reader.initial_lists - bool(self.reader.mailbox.initial_pending)

    @invariant()
    def pending_keys_are_those_that_the_consumer_does_not_know(self) -> None:
        unknown = {key for key in KEYS if self.reader.given.get(key) is not self.store.get(key)}
        assert unknown <= pending_keys(self.reader.mailbox)

    @invariant()
    def nothing_is_merged_below_the_limit(self) -> None:
        """Exact: the very records, in their order (per key if several are handled at once)."""
        if self.reader.is_over_limit:
            return
        assert self.reader.mailbox.coalesced == 0
        for key in KEYS if self.reader_type is KeyedReader else [""]:
            came = [record for record in self.reader.delivered if key in ("", record.key)]
            put = [record for record in self.reader.expected if key in ("", record.key)]
            assert came == put[: len(came)]

    @invariant()
    def the_backlog_is_bounded(self) -> None:
        """What is merged, and what was merged before and is being taken: two records per key each."""
        parked = 2 * MOST if self.reader_type is KeyedReader else 0  # merged ones that follow others in a lane
        if not self.reader.has_taken_a_list:
            assert self.reader.mailbox.pending <= max(self.reader.mailbox.limit, MOST) + MOST + parked

    @invariant()
    def a_sleeping_consumer_has_nothing_to_take(self) -> None:
        if self.reader.is_asleep:
            assert self.reader.mailbox.is_idle
            assert self.reader_type is KeyedReader or self.reader.mailbox.pending == len(self.reader.busy)
            assert pending_keys(self.reader.mailbox) <= self.reader.busy.keys()

    def teardown(self) -> None:
        for reader in (self.reader, self.archive):
            self.drain(reader)
        assert self.archive.mailbox.coalesced == 0


@pytest.mark.slow
@pytest.mark.parametrize("reader_type", [SerialReader, KeyedReader])
def test_g8_any_history_at_any_pace_gives_the_stores_state(reader_type: type[SerialReader | KeyedReader]) -> None:
    """What a consumer is given is true, in order per key, and in the end everything there is to know."""
    machine = type(f"{reader_type.__name__}Histories", (Histories,), {"reader_type": reader_type})
    run_state_machine_as_test(machine, settings=settings(max_examples=200, stateful_step_count=50, deadline=None))


# -- single facts -------------------------------------------------------------------------------------------------


def test_a_segment_is_handed_on_by_reference() -> None:
    """Nothing is made per consumer below the limit."""
    segment = [added("a"), added("b")]
    one, two = Mailbox(), Mailbox()
    for mailbox in (one, two):
        mailbox.put(segment)
        records = mailbox.take()
        assert records is not None
        assert all(given is made for given, made in zip(records, segment, strict=True))


@pytest.mark.parametrize("mailbox_type", [Mailbox, KeyedMailbox])
def test_g8_exact_up_to_the_limit_then_merged(mailbox_type: type[Mailbox]) -> None:
    """The first records of a batch that overflows are exact, the rest is merged per key."""
    mailbox = mailbox_type(2)
    first = [updated("a", P, O1), updated("a", O1, O2), updated("a", O2, D), updated("a", D, P)]
    mailbox.put(first)
    assert (mailbox.pending, mailbox.coalesced, mailbox.high_water) == (3, 1, 3)
    assert drain(mailbox) == [*first[:2], updated("a", O2, P)]


def test_merged_records_stand_at_the_first_position_of_their_key() -> None:
    """Two of a key, a deletion and the addition after it, stand together."""
    mailbox = Mailbox(1)
    mailbox.put([added("x")])
    mailbox.put([deleted("a"), updated("b", O1, O2), added("c"), added("a", O2), updated("b", O2, D)])
    assert keys(drain(mailbox)) == ["x", "a", "a", "b", "c"]


def test_overflow_becomes_exact_when_exact_is_empty() -> None:
    """From then on, while there is room, records are exact again."""
    mailbox = Mailbox(2)
    mailbox.put([added("a"), added("b"), added("c")])
    for record in mailbox.take() or ():
        mailbox.settle(record)
    records = mailbox.take()
    assert records is not None
    mailbox.put([updated("c", O1, O2)])
    assert mailbox.coalesced == 0
    assert [record.type for record in [*records, *drain(mailbox)]] == [ADDED, UPDATED]


def test_all_goes_to_the_overflow_while_there_is_any() -> None:
    """Room alone is not enough: a record must not overtake an older one of its key."""
    mailbox = Mailbox(2)
    mailbox.put([added("a"), added("b"), added("c")])
    records = mailbox.take()
    assert records is not None
    for record in records:
        mailbox.settle(record)
    mailbox.put([updated("c", O1, O2)])
    assert drain(mailbox) == [added("c", O2)]


def test_an_addition_and_its_deletion_vanish_and_count_as_handled() -> None:
    """Also for the initial state: nobody waits for what will never come."""
    done: list[int] = []
    mailbox = Mailbox(1)
    mailbox.initial_done = lambda: done.append(mailbox.pending)
    mailbox.put([updated("x")])
    mailbox.put_list([[added("a", cause=Cause.LIST, initial=True), added("b", cause=Cause.LIST, initial=True)]], 2)
    merge_all(mailbox)
    mailbox.put([deleted("a")])
    assert (mailbox.pending, mailbox.initial_pending, mailbox.coalesced, done) == (2, 1, 2, [])
    mailbox.put([deleted("b")])
    assert (mailbox.pending, mailbox.initial_pending, mailbox.coalesced, done) == (1, 0, 4, [1])
    assert keys(drain(mailbox)) == ["x"]


def test_a_list_is_taken_whole_while_there_is_room() -> None:
    """The store holds its objects anyway; one record of room is enough."""
    mailbox = Mailbox(10)
    mailbox.put([updated("x")] * 9)
    items = [(f"k{number}", O1) for number in range(100)]
    mailbox.put_list([state(*items[:60]), state(*items[60:])], 100)
    assert (mailbox.pending, mailbox.initial_pending, mailbox.coalesced) == (109, 100, 0)
    mailbox.put([updated("k0"), updated("k0", O2, D)])
    assert (mailbox.pending, mailbox.coalesced) == (110, 1)


def test_a_list_does_not_overtake_the_overflow() -> None:
    """Room alone is not enough for a list either."""
    mailbox = Mailbox(2)
    mailbox.put([added("a"), added("b"), added("c")])
    for record in mailbox.take() or ():
        mailbox.settle(record)
    mailbox.put_list([[updated("c", O1, O2)], [added("d")]], 0)
    merge_all(mailbox)
    assert drain(mailbox) == [added("c", O2), added("d")]


def test_a_list_without_room_is_merged() -> None:
    """Its initial records are counted all the same."""
    mailbox = Mailbox(1)
    mailbox.put([updated("x")])
    mailbox.put_list([[deleted("a", known=False)], [added("a", O2), added("b", initial=True)]], 1)
    merge_all(mailbox)
    mailbox.put([updated("b", O1, O2)])
    assert (mailbox.pending, mailbox.initial_pending, mailbox.coalesced) == (4, 1, 1)
    assert drain(mailbox)[-1] == added("b", O2, initial=True)


def test_no_limit_means_no_merging() -> None:
    """``limit=None``."""
    mailbox = Mailbox(None)
    mailbox.put([updated("a")] * 5000)
    assert (mailbox.pending, mailbox.coalesced, mailbox.high_water) == (5000, 0, 5000)


def test_a_consumer_is_woken_once_when_there_is_something_to_take() -> None:
    """Neither while it is awake nor by what has vanished."""
    wakes: list[int] = []
    mailbox = Mailbox(1)
    mailbox.wake = lambda: wakes.append(mailbox.pending)
    mailbox.put([added("a")])
    assert (wakes, mailbox.is_idle) == ([], False)
    for record in drain(mailbox):
        mailbox.settle(record)
    mailbox.is_idle = True
    mailbox.put([])
    assert (wakes, mailbox.is_idle) == ([], True)
    mailbox.put([updated("a"), updated("b")])
    mailbox.put([updated("c")])
    assert (wakes, mailbox.is_idle) == ([2], False)


@pytest.mark.parametrize("mailbox_type", [Mailbox, KeyedMailbox])
@pytest.mark.parametrize("as_state", [False, True])
def test_pending_keys_are_those_not_yet_delivered(mailbox_type: type[Mailbox], as_state: bool) -> None:
    """Those of a segment that is being taken included, the one inside the handler not."""
    mailbox = mailbox_type(3)
    segment: Sequence[Record] = state(*((key, O1) for key in "abc")) if as_state else [added(key) for key in "abc"]
    mailbox.put(segment)
    mailbox.put([added("d")])
    records = mailbox.take()
    assert records is not None
    assert pending_keys(mailbox) == {"a", "b", "c", "d"}
    assert next(records).key == "a"
    assert pending_keys(mailbox) == {"b", "c", "d"}
    list(records)
    assert pending_keys(mailbox) == {"d"}


def test_clear_drops_what_has_not_been_taken() -> None:
    """And says how much that was; initial records that were dropped have not been handled."""
    mailbox = Mailbox(2)
    mailbox.initial_done = pytest.fail
    mailbox.put_list([state(("a", O1), ("b", O1), ("c", O1))], 3)
    mailbox.put([updated("c")])
    records = mailbox.take()
    assert records is not None
    next(records)
    assert dropped_by(mailbox) == 1
    assert (mailbox.pending, mailbox.take(), dropped_by(mailbox)) == (3, None, 0)


def test_a_busy_key_blocks_only_itself() -> None:
    """Its records are parked, in order; others pass."""
    mailbox = KeyedMailbox()
    mailbox.put([added("a"), updated("a", O1, O2), added("b"), deleted("a", O2), added("c")])
    assert [
        keys([record]) for record in (mailbox.next(), mailbox.next(), mailbox.next(), mailbox.next()) if record
    ] == [
        ["a"],
        ["b"],
        ["c"],
    ]
    assert sorted(mailbox.busy_keys) == ["a", "b", "c"]
    assert pending_keys(mailbox) == {"a"}
    assert mailbox.release("a") == updated("a", O1, O2)
    assert mailbox.release("a") == deleted("a", O2)
    assert mailbox.release("a") is None
    mailbox.put([added("a")])
    assert mailbox.next() == added("a")


def test_g8_parked_records_are_merged_beyond_the_limit() -> None:
    """A handler that hangs on one key of a busy stream cannot eat the memory."""
    mailbox = KeyedMailbox(3)
    mailbox.put([added("a", P)])
    assert mailbox.next() is not None
    for _ in range(50):
        mailbox.put([updated("a", P, O1), updated("a", O1, P)])
        assert mailbox.next() is None
        assert mailbox.pending <= 1 + 3
    assert mailbox.coalesced == 100 - 3
    mailbox.put([deleted("a", P), added("a", O2), updated("a", O2, D)])
    assert mailbox.next() is None
    lane = list(iter(lambda: mailbox.release("a"), None))
    assert [(record.type, record.base, record.entry) for record in lane[-2:]] == [(DELETED, P, D), (ADDED, None, D)]
    assert mailbox.pending == 1 + len(lane)


def test_parked_records_that_vanish_leave_the_key_with_its_worker() -> None:
    """An addition and its deletion, both parked behind a handler of the same key."""
    mailbox = KeyedMailbox(1)
    mailbox.put([deleted("a")])
    assert mailbox.next() is not None
    for _ in range(3):
        mailbox.put([added("a", O2)])
        assert mailbox.next() is None
        mailbox.put([deleted("a", O2)])
        assert mailbox.next() is None
        assert pending_keys(mailbox) == set()
    assert (mailbox.pending, mailbox.coalesced, mailbox.busy_keys) == (1, 6, ["a"])
    assert mailbox.release("a") is None


def test_initial_state_makes_its_records_when_asked() -> None:
    """As a sequence like any other segment."""
    initial = state(("a", O1), ("b", O2))
    records: list[Any] = [added("a", O1, Cause.LIST, initial=True), added("b", O2, Cause.LIST, initial=True)]
    assert len(initial) == 2
    assert list(initial) == records == list(initial[:])
    assert (initial[0], initial[-1], list(initial[1:])) == (records[0], records[1], records[1:])


def test_of_several_takers_of_an_initial_state_one_makes_the_records_and_the_last_lets_go_of_them() -> None:
    """Another thousand handlers would make a thousand of them per object; those of one handler are freed at once."""
    segment = state(("a", O1), ("b", O2))
    mailboxes = [Mailbox() for _ in range(3)]
    for mailbox in mailboxes:
        mailbox.put_list([segment], 2)
    taken = [drain(mailbox) for mailbox in mailboxes]
    assert keys(taken[0]) == ["a", "b"]
    assert all(one is other for records in taken[1:] for one, other in zip(taken[0], records, strict=True))
    assert segment._records is None
    assert segment.takers == 0
    (alone := Mailbox()).put_list([other := state(("a", O1))], 1)
    assert keys(drain(alone)) == ["a"]
    assert other._records is None
