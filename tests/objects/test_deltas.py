"""What a decoder makes of bytes and the store takes."""

from __future__ import annotations

import gc
import json
from typing import Any

from aioinformers.objects.deltas import DELETE, REJECT, UPSERT, Batch
from aioinformers.objects.layout import Layout
from aioinformers.objects.object_types import object_type_of

LAYOUT: Layout[Any] = Layout(object_type_of(dict), (), {})


def test_a_batch_tells_nothing_but_its_deltas_unless_it_is_said() -> None:
    """No end of the initial objects, no bookmark, nothing unreadable, and nothing that a list must find."""
    batch = Batch([], "7", LAYOUT)
    assert (batch.ends_initial, batch.bookmarks, batch.unreadable, batch.lost) == (False, 0, 0, 0)


def test_what_is_to_be_done_with_an_object_is_one_thing_only() -> None:
    assert len({UPSERT, DELETE, REJECT}) == 3


def test_a_batch_and_its_deltas_are_invisible_to_the_garbage_collector_but_for_the_list() -> None:
    """A hundred thousand objects on their way must not make the collector run for them."""
    raw = json.dumps({"metadata": {"name": "web", "uid": "u"}}).encode()
    read = LAYOUT.reader.read_document(json.loads(raw))
    batch = Batch([(UPSERT, "web", LAYOUT.entry(raw, read))], "7", LAYOUT)
    assert not gc.is_tracked(batch)
    gc.collect()  # which looks at a tuple once, and then leaves it alone if it holds nothing to be looked at
    assert not gc.is_tracked(batch.deltas[0])
