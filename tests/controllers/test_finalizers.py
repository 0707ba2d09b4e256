"""Finalizers are added and removed by patches that fail where somebody else has changed the list."""

from __future__ import annotations

from typing import Any

import pytest

from aioinformers.controllers.finalizers import adding, check_name, removing

NAME = "example.com/cleanup"


def test_a_finalizer_is_added_behind_others_that_are_still_the_same() -> None:
    assert adding(["a.io/b"], NAME, "u") == [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/metadata/finalizers", "value": ["a.io/b"]},
        {"op": "add", "path": "/metadata/finalizers/-", "value": NAME},
    ]


def test_the_first_one_makes_the_list_if_there_still_is_none() -> None:
    assert adding([], NAME, "u")[1:] == [
        {"op": "test", "path": "/metadata/finalizers", "value": None},
        {"op": "add", "path": "/metadata/finalizers", "value": [NAME]},
    ]


def test_one_is_removed_from_where_it_still_is() -> None:
    patch = removing(["a.io/b", NAME, "c.io/d"], NAME, "u")
    assert patch is not None
    assert patch == [
        {"op": "test", "path": "/metadata/uid", "value": "u"},
        {"op": "test", "path": "/metadata/finalizers/1", "value": NAME},
        {"op": "remove", "path": "/metadata/finalizers/1"},
    ]
    assert removing(["a.io/b"], NAME, "u") is None


@pytest.mark.parametrize("name", [NAME, "a.io/b", "x-1.example.com/A.b_c-d"])
def test_names_have_a_domain(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["cleanup", "/cleanup", "example.com/", "example/cleanup", "Example.com/x", "a.io/b/c", f"a.io/{'x' * 64}"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"^a finalizer is named by a domain and a word, such as 'example\.com/cleanup'"
    ):
        check_name(name)


def test_what_is_no_text_is_refused() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match="a finalizer is a text"):
        check_name(wrong)
