"""The options of writes: what is read from a query or a body, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.testing.apiserver.options import DeleteOptions, Propagation, WriteOptions
from aioinformers.testing.apiserver.status import StatusError


@pytest.mark.parametrize(
    ("query", "agent", "manager"),
    [
        ({"fieldManager": "me"}, "kubectl/v1.37", "me"),
        ({}, "kubectl/v1.37 (linux)", "kubectl"),
        ({}, "a b\x07c/1", "a bc"),
        ({}, "x" * 200, "x" * 128),
        ({}, "", "unknown"),
    ],
)
def test_who_writes(query: dict[str, str], agent: str, manager: str) -> None:
    """The query says it, or the name of the program."""
    assert WriteOptions.parse("UpdateOptions", query, user_agent=agent).manager == manager


def test_a_write_is_tried_and_forced_on_request() -> None:
    query = {"dryRun": "All", "force": "true", "fieldManager": "me", "fieldValidation": "Strict"}

    assert WriteOptions.parse("PatchOptions", query, applies=True, subresource="status") == WriteOptions(
        manager="me", subresource="status", dry_run=True, force=True
    )
    assert not WriteOptions.parse("PatchOptions", {"force": "false", "fieldManager": "x"}, applies=True).force


@pytest.mark.parametrize(
    ("query", "applies", "causes"),
    [
        ({}, True, [("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")]),
        (
            {"force": "true"},
            False,
            [("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch")],
        ),
        (
            {"fieldManager": "x" * 129},
            False,
            [("fieldManager", "FieldValueTooLong", "Too long: may not be more than 128 bytes")],
        ),
        (
            {"fieldManager": "a\n"},
            False,
            [
                (
                    "fieldManager",
                    "FieldValueInvalid",
                    'Invalid value: "a\\n": invalid character U+000A (at position 1)',
                )
            ],
        ),
        (
            {"dryRun": "some"},
            False,
            [("dryRun", "FieldValueNotSupported", 'Unsupported value: ["some"]: supported values: "All"')],
        ),
        (
            {"dryRun": "", "fieldValidation": "x"},
            False,
            [
                ("dryRun", "FieldValueNotSupported", 'Unsupported value: [""]: supported values: "All"'),
                (
                    "fieldValidation",
                    "FieldValueNotSupported",
                    'Unsupported value: "x": supported values: "", "Ignore", "Strict", "Warn"',
                ),
            ],
        ),
    ],
)
def test_options_that_cannot_be(query: dict[str, str], applies: bool, causes: list[tuple[str, str, str]]) -> None:
    """422 names the options, and each field."""
    with pytest.raises(StatusError) as caught:
        WriteOptions.parse("PatchOptions", query, applies=applies)

    details: Any = caught.value.details
    assert (caught.value.code, details["kind"], details["group"]) == (422, "PatchOptions", "meta.k8s.io")
    assert [(each["field"], each["reason"], each["message"]) for each in details["causes"]] == causes


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ({}, None, DeleteOptions()),
        ({}, {}, DeleteOptions()),
        ({"dryRun": "All", "propagationPolicy": "Orphan"}, {}, DeleteOptions()),
        (
            {"dryRun": "All", "propagationPolicy": "Orphan"},
            None,
            DeleteOptions(dry_run=True, propagation=Propagation.ORPHAN),
        ),
        ({"orphanDependents": "false"}, None, DeleteOptions(propagation=Propagation.BACKGROUND)),
        (
            {},
            {"dryRun": ["All"], "orphanDependents": True, "preconditions": {"uid": "u", "resourceVersion": "7"}},
            DeleteOptions(uid="u", version="7", propagation=Propagation.ORPHAN, dry_run=True),
        ),
        ({}, {"propagationPolicy": "Foreground"}, DeleteOptions(propagation=Propagation.FOREGROUND)),
    ],
)
def test_options_of_deletions(query: dict[str, str], body: dict[str, Any] | None, expected: DeleteOptions) -> None:
    """Those of the query count only without a body."""
    assert DeleteOptions.parse(query, body) == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"dryRun": ["x"]}, 'dryRun: Unsupported value: ["x"]: supported values: "All"'),
        (
            {"propagationPolicy": "x"},
            'Unsupported value: "x": supported values: "Foreground", "Background", "Orphan", "nil"',
        ),
        (
            {"propagationPolicy": "Orphan", "orphanDependents": False},
            "orphanDependents and deletionPropagation cannot be both set",
        ),
    ],
)
def test_options_of_deletions_that_cannot_be(body: dict[str, Any], words: str) -> None:
    with pytest.raises(StatusError, match="422 Invalid: DeleteOptions") as caught:
        DeleteOptions.parse({}, body)
    assert words in caught.value.message
