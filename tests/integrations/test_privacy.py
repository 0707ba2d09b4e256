"""What is shown without names of objects."""

from __future__ import annotations

import msgspec

from aioinformers.integrations.page.document import document
from aioinformers.integrations.privacy import without_keys
from aioinformers.integrations.text import statusz
from tests.integrations.views import busy_program, informer, seen


def test_no_face_names_an_object() -> None:
    program = busy_program()
    hidden = without_keys(program)
    for shown in (statusz, document, lambda each: msgspec.json.encode(each, enc_hook=str).decode()):
        assert "web-0" in shown(program)
        assert "web-0" not in shown(hidden)
        assert "(hidden)" in shown(hidden)


def test_what_was_wrong_is_still_said() -> None:
    text = statusz(without_keys(busy_program()))
    assert "cannot be read: (hidden) 1: spec.replicas: expected an integer" in text
    assert "(hidden) failed 3 times, next try in 12 s: ValueError" in text
    assert "names of objects are hidden: show_keys=True shows them" in text


def test_what_names_none_is_the_same() -> None:
    assert without_keys(seen()).factories == seen().factories


def test_what_a_bug_has_named_is_hidden() -> None:
    """Its message may be the key at which it happened; what kind of error it was remains."""
    crash = "crashed: KeyError('default/acme-secret')"
    program = seen(informer(has_crashed=True, reason=crash), reason=f"pods.v1: {crash}")
    hidden = without_keys(program)
    assert hidden.reason == "pods.v1: crashed: KeyError"
    assert hidden.informers[0].health.reason == "crashed: KeyError"
    assert "acme" not in statusz(hidden)
