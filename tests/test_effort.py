"""What decoding takes grows with the size of what is decoded, and no step of it is long, whatever servers send (G12).

CPU time is compared with what msgspec needs to skip the same bytes in the same run: a busy machine slows both.
"""

from __future__ import annotations

import gc
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from aioinformers.listwatch.listing import ListDecoder
from aioinformers.listwatch.wire import WatchDecoder
from aioinformers.objects.deltas import Batch
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import object_type_of

pytestmark = pytest.mark.slow

MIB = 1 << 20
SIZE = MIB // 2
CHUNK = 128 * 1024
PATHS = {"node": "spec.nodeName", "images": "spec.containers[].image"}

_skip = msgspec.json.Decoder(msgspec.Raw).decode


def repeated(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


FILLINGS: dict[str, Callable[[int], bytes]] = {
    "a string": lambda size: b'"x":"%s"' % repeated(b"x", size),
    "a string of lines": lambda size: b'"x":"%s"' % repeated(b"x" * 60 + rb"\n", size),
    "quotes": lambda size: b'"x":"%s"' % repeated(rb"\"", size),
    "backslashes": lambda size: b'"x":"%s"' % repeated(rb"\\", size),
    "lists": lambda size: b'"x":[%s1]' % repeated(b"[],", size),
    "numbers": lambda size: b'"x":[%s1]' % repeated(b"1,", size),
    "objects": lambda size: b'"x":[%s1]' % repeated(b'{"a":"b"},', size),
    "one number": lambda size: b'"x":0.%s' % repeated(b"1", size),
    "members": lambda size: b'%s"x":1' % repeated(b'"x":1,', size),
    "look-alikes": lambda size: b'"x":[%s1]' % repeated(b'{"metadata":{"name":"x"}},', size),
    "deep lists": lambda size: b'"x":%s' % (b"[" * 900 + repeated(b"[],", size) + b"1" + b"]" * 900),
    "lists at the end of a path": lambda size: b'"spec":{"nodeName":[%s1]}' % repeated(b"[],", size),
    "an object at the end of a path": lambda size: b'"spec":{"nodeName":{"x":[%s1]}}' % repeated(b"[],", size),
    "a number in the middle of a path": lambda size: b'"spec":5,"x":[%s1]' % repeated(b"[],", size),
}
"""Whole members of an object, of which somebody may make as many as the server stores."""

ENDLESS: dict[str, Callable[[int], bytes]] = {
    "too deep": lambda size: b'"x":%s' % (b"[" * 20_000 + repeated(b"[],", size) + b"1" + b"]" * 20_000),
    "deeper and deeper": lambda size: b'"x":%s' % (repeated(b"[", size // 2) + repeated(b"]", size // 2)),
    "half a surrogate pair": lambda size: rb'"x":[%s1],"y":"\ud83d ends"' % repeated(b"[],", size),
    "a bad escape": lambda size: rb'"y":"\q","x":"%s"' % repeated(rb"\n", size),
}
"""Members that no decoder reads."""


def obj(filling: bytes, number: int = 0, uid: bytes = b'"u"') -> bytes:
    return b'{"metadata":{"name":"n%d","uid":%s},%s}' % (number, uid, filling)


def obj_last(filling: bytes, number: int = 0) -> bytes:
    return b'{%s,"metadata":{"name":"n%d","uid":"u"}}' % (filling, number)


def event(raw: bytes) -> bytes:
    return b'{"type":"MODIFIED","object":%s}\n' % raw


def odd_event(raw: bytes) -> bytes:
    return b'{"object":%s,"type":"MODIFIED"}\n' % raw


def page(items: Iterable[bytes]) -> bytes:
    return b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":[%s]}' % b",".join(items)


@dataclass
class Effort:
    """CPU seconds."""

    total: float
    longest: float
    deltas: int


def effort(decoder: WatchDecoder | ListDecoder, data: bytes) -> Effort:
    """Decode, and return what it took; a step ends with each batch, and where more data are waited for."""
    clock, steps, deltas = time.thread_time, list[float](), 0
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    feeds: Iterator[Iterator[Batch]] = map(decoder.feed, chunks)
    if isinstance(decoder, ListDecoder):
        feeds = itertools.chain(feeds, iter([decoder.flush()]))
    gc.collect()
    gc.disable()
    try:
        for batches in feeds:
            begin = clock()
            for batch in batches:
                steps.append(clock() - begin)
                deltas += len(batch.deltas)
                begin = clock()
            steps.append(clock() - begin)
    finally:
        gc.enable()
    if isinstance(decoder, ListDecoder):
        decoder.finish()
    return Effort(sum(steps), max(steps), deltas)


def layout() -> Layout[Any]:
    return Layout(object_type_of(dict), (), PATHS)


def watch(data: bytes) -> Effort:
    return effort(WatchDecoder(layout(), 64 * MIB), data)


def listing(data: bytes) -> Effort:
    return effort(ListDecoder(layout(), 64 * MIB), data)


def skipping(data: bytes) -> float:
    """Return the CPU seconds that msgspec needs to skip a value."""
    begin = time.thread_time()
    _skip(data)
    return time.thread_time() - begin


def counting(steps: int) -> float:
    """Return the CPU seconds of so many steps of a loop in Python."""
    begin = time.thread_time()
    sum(1 for _ in range(steps))
    return time.thread_time() - begin


def least(
    times: int, measure: Callable[[], tuple[float, ...]], is_fine: Callable[..., bool], at_most: int = 15
) -> tuple[float, ...]:
    """Measure several things several times, in turns, and more often as long as it is not fine.

    What else runs on a machine makes caches cold, which costs CPU time, too.

    Returns:
        The least of each.
    """
    found = tuple(map(min, zip(*(measure() for _ in range(times)), strict=True)))
    while times < at_most and not is_fine(*found):
        found, times = tuple(map(min, found, measure())), times + 1
    return found


PLAIN = 6
"""How often a step may take what msgspec needs to skip the bytes: they are skipped, cut out, checked, read again."""
SLICE = 60_000
"""Steps of a loop in Python that any step may take besides: 1.5 ms or less on a machine of today."""


IS_DEEP_IN_BYTES = sys.version_info >= (3, 14)
"""Whether stacks have room for so many bytes: for a hundred times as many levels as before."""


def check_steps(run: Callable[[bytes], Effort], data: bytes, largest: bytes, times: int = PLAIN) -> None:
    """Check that no step takes much longer than msgspec needs for the largest object."""

    def is_short(longest: float, plain: float, loop: float) -> bool:
        return longest <= times * plain + loop

    found = least(3, lambda: (run(data).longest, skipping(largest), counting(SLICE)), is_short)
    assert is_short(*found), f"{1e3 * found[0]:.1f} ms, msgspec {1e3 * found[1]:.1f} ms"


@pytest.mark.parametrize("write", [obj, obj_last])
@pytest.mark.parametrize("filling", FILLINGS)
def test_g12_a_large_event_takes_little_more_than_skipping_it(filling: str, write: Callable[[bytes], bytes]) -> None:
    raw = write(FILLINGS[filling](SIZE))
    check_steps(watch, event(raw), raw)


@pytest.mark.parametrize("filling", ["a string", "lists", "look-alikes"])
def test_g12_so_does_one_that_is_written_or_filled_oddly(filling: str) -> None:
    """The object before the type, or a uid that is none, which is for the tolerant reader."""
    raw = obj(FILLINGS[filling](SIZE))
    check_steps(watch, odd_event(raw), raw)
    check_steps(watch, event(obj(FILLINGS[filling](SIZE), uid=b"null")), raw)


@pytest.mark.parametrize("write", [obj, obj_last])
@pytest.mark.parametrize("filling", FILLINGS)
def test_g12_a_large_item_takes_short_steps(filling: str, write: Callable[[bytes, int], bytes]) -> None:
    """Among small ones, so that its end cannot be guessed."""
    large = write(FILLINGS[filling](SIZE), 1)
    check_steps(listing, page([obj(b'"x":1'), large, obj(b'"x":1', 2)]), large)


@pytest.mark.parametrize("write", [obj, obj_last])
@pytest.mark.parametrize("filling", ENDLESS)
def test_g12_an_object_that_no_decoder_reads_takes_short_steps(
    filling: str, write: Callable[[bytes, int], bytes]
) -> None:
    bad, fair = write(ENDLESS[filling](SIZE), 1), b"[%s1]" % repeated(b"[],", SIZE)
    times = 3 * PLAIN if IS_DEEP_IN_BYTES and "deep" in filling else PLAIN  # 8 MB of stack are used before it is known
    check_steps(watch, event(bad), fair, times)
    check_steps(listing, page([obj(b'"x":1'), bad, obj(b'"x":1', 2)]), fair, times)


def test_g12_an_object_that_is_too_deep_costs_nothing_once_its_name_is_known() -> None:
    """Anybody who may create custom resources can have one of these changed all the time.

    From Python 3.14 on it can be skipped, and is decoded once to know whether it could be read later.
    """
    bad, fair = event(obj(ENDLESS["too deep"](SIZE))), b"[%s1]" % repeated(b"[],", SIZE)

    def is_cheap(ours: float, plain: float) -> bool:
        return ours <= (PLAIN if IS_DEEP_IN_BYTES else 2) * plain

    assert is_cheap(*least(3, lambda: (watch(bad).total, skipping(fair)), is_cheap))


@pytest.mark.parametrize(
    "head",
    [
        lambda filling: b'{%s,"kind":"PodList","items":[]}' % filling,
        lambda filling: b'{"kind":"PodList","items":[],%s}' % filling,
        lambda filling: b'{"kind":"PodList","metadata":{%s},"items":[{"metadata":{"name":"x"}}]}' % filling,
    ],
)
@pytest.mark.parametrize("filling", ["a string", "a string of lines", "lists", "members"])
def test_g12_what_is_around_the_items_takes_short_steps(filling: str, head: Callable[[bytes], bytes]) -> None:
    data = head(FILLINGS[filling](SIZE))
    check_steps(listing, data, data)


# -- no effort grows faster than what is read ---------------------------------------------------------------------


def ordinary(count: int) -> list[bytes]:
    return [obj(b'"spec":{"nodeName":"n1"}', number) for number in range(count)]


def unlike(count: int) -> list[bytes]:
    """Items that all begin otherwise."""
    return [b'{"k%06d":1,' % number + raw[1:] for number, raw in enumerate(ordinary(count))]


def alternating(count: int) -> list[bytes]:
    return [b'{"kind":"Pod",' + raw[1:] if number % 2 else raw for number, raw in enumerate(ordinary(count))]


def after_a_large_one(count: int) -> list[bytes]:
    return [obj(FILLINGS["a string"](2000 * count)), *unlike(count)]


def among_look_alikes(count: int) -> list[bytes]:
    """Items whose guessed ends are inside the next large one."""
    large = obj(FILLINGS["look-alikes"](50_000))
    return [raw for at in range(0, count, 50) for raw in (*unlike(50), large)]


def of_growing_size(count: int) -> list[bytes]:
    return [obj(FILLINGS["lists"](size), size) for size in range(0, 40 * count, 4000)]


def broken(count: int) -> list[bytes]:
    return [raw.replace(b':"n1"}', rb':"\q"}') for raw in ordinary(count)]


def with_odd_uids(count: int) -> list[bytes]:
    return [raw.replace(b'"u"', b"null") for raw in ordinary(count)]


LISTS = [ordinary, unlike, alternating, after_a_large_one, among_look_alikes, of_growing_size, broken, with_odd_uids]


def check_growth(run: Callable[[int], Effort], size: int) -> None:
    """Check that four times as much takes about four times as long: far less than the sixteen of a quadratic effort."""

    def is_in_proportion(small: float, large: float) -> bool:
        return large <= 8 * small

    small, large = least(2, lambda: (run(size).total, run(4 * size).total), is_in_proportion)
    assert is_in_proportion(small, large), f"{1e3 * small:.1f} ms, four times as much {1e3 * large:.1f} ms"


@pytest.mark.parametrize("items", LISTS)
def test_g12_lists_take_a_time_in_proportion_to_their_size(items: Callable[[int], list[bytes]]) -> None:
    check_growth(lambda count: listing(page(items(count))), 500)


@pytest.mark.parametrize("items", [ordinary, unlike, alternating])
def test_g12_so_do_lists_with_white_space(items: Callable[[int], list[bytes]]) -> None:
    def pretty(count: int) -> bytes:
        return json.dumps(json.loads(page(items(count))), indent=2).encode()

    check_growth(lambda count: listing(pretty(count)), 500)


@pytest.mark.parametrize("write", [event, odd_event])
@pytest.mark.parametrize("items", [ordinary, broken, with_odd_uids])
def test_g12_so_do_streams(items: Callable[[int], list[bytes]], write: Callable[[bytes], bytes]) -> None:
    check_growth(lambda count: watch(b"".join(map(write, items(count)))), 500)


@pytest.mark.parametrize("filling", [*FILLINGS, *ENDLESS])
def test_g12_so_do_objects_however_they_come_in(filling: str) -> None:
    """In a list as large items among small ones, and in a watch."""
    fill = (FILLINGS | ENDLESS)[filling]

    def run(size: int) -> Effort:
        raw = obj_last(fill(size))
        both = listing(page([obj(b'"x":1'), raw, raw])), watch(event(raw))
        return Effort(sum(each.total for each in both), 0, 0)

    # From Python 3.14 on what is deeper and deeper can be skipped in the beginning, which is cheaper.
    check_growth(run, MIB // 2 if IS_DEEP_IN_BYTES and filling == "deeper and deeper" else MIB // 8)
