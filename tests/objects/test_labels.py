"""Labels of stored objects, and the sets that they share."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioinformers.objects.labels import LabelSets, labels_of, texts_of

some_labels = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("abcd"), max_size=4)


@pytest.mark.parametrize(
    ("metadata", "labels"),
    [
        ({"name": "x", "labels": {"app": "web", "empty": ""}}, {"app": "web", "empty": ""}),
        ({"name": "x", "labels": {}}, {}),
        ({"name": "x", "labels": None}, None),
        ({"name": "x"}, None),
    ],
)
def test_labels_are_read_from_the_bytes_of_an_object(metadata: dict[str, Any], labels: dict[str, str] | None) -> None:
    obj = {"spec": {"metadata": {"labels": {"not": "these"}}}, "metadata": metadata, "labels": {"nor": "these"}}
    assert labels_of(json.dumps(obj).encode()) == labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"app": "web", "none": None, "many": ["a"], "more": {"a": "b"}}, {"app": "web"}),
        ({"number": 5, "ratio": 1.5, "yes": True}, {"number": "5", "ratio": "1.5", "yes": "true"}),
        ({"huge": float("inf")}, {"huge": "inf"}),
        (["app"], None),
        ("app", None),
        (5, None),
    ],
)
def test_g11_labels_that_are_no_texts_are_read_as_texts_or_not_at_all(labels: Any, expected: Any) -> None:
    """One odd object must not make selectors fail, whichever form of it is asked."""
    raw = json.dumps({"metadata": {"name": "x", "labels": labels}}).replace("Infinity", "1e999").encode()
    assert labels_of(raw) == texts_of(labels) == expected
    LabelSets().shared(texts_of(labels))


def test_g11_labels_are_read_however_deep_the_object_is() -> None:
    raw = b'{"spec":%s,"metadata":{"labels":{"app":"web"}}}' % (b"[" * 900 + b"]" * 900)

    def labels_after(calls: int) -> Any:
        return labels_of(raw) if not calls else labels_after(calls - 1)

    assert labels_after(0) == labels_after(400) == {"app": "web"}


def test_equal_label_sets_are_one_object_for_as_long_as_it_is_held() -> None:
    sets = LabelSets()
    given = {"app": "web"}
    held = sets.shared(given)
    given["app"] = "db"
    assert held.labels == {"app": "web"}
    assert sets.shared({"app": "web"}) is held
    assert sets.shared(given) is not held
    assert sets.shared({"web": "app"}) != held
    nothing = sets.shared(None)
    assert nothing.labels == {}
    assert sets.shared({}) is nothing
    gc.collect()
    assert len(sets) == 2
    del held, nothing
    gc.collect()
    assert len(sets) == 0


@given(some_labels, some_labels)
def test_only_equal_labels_share_a_set(one: dict[str, str], other: dict[str, str]) -> None:
    """Whatever keys and values look like, and in whatever order they were written."""
    sets = LabelSets()
    first, second = sets.shared(one), sets.shared(other)
    assert (dict(first.labels), dict(second.labels)) == (one, other)
    assert (first is second) is (one == other)
