"""Every number of the recovery machinery: defaults, bounds, documentation."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from typing import Any

import pytest

from aioinformers import settings as module
from aioinformers.settings import Settings

FIELDS = dataclasses.fields(Settings)
NUMBERS = [field.name for field in FIELDS if not isinstance(field.default, bool | str)]
MAY_BE_ZERO = ["watch_list_memory", "watch_timeout_slack", "backoff_jitter", "time_slice"]


def changed(name: str, value: Any) -> Settings:
    return Settings(**{name: value})


def test_the_defaults_are_those_of_the_documentation() -> None:
    """Each of them is a promise about how long something takes at most."""
    assert dataclasses.asdict(Settings()) == {
        "connect_timeout": 10.0,
        "header_timeout": 30.0,
        "list_silence_timeout": 30.0,
        "list_timeout": 600.0,
        "page_size": 500,
        "watch_list": True,
        "watch_list_silence_timeout": 15.0,
        "watch_list_timeout": 60.0,
        "watch_list_memory": 600.0,
        "watch_timeout_min": 300.0,
        "watch_timeout_max": 600.0,
        "watch_silence_timeout": 75.0,
        "watch_timeout_slack": 30.0,
        "watch_healthy_after": 60.0,
        "backoff_initial": 0.8,
        "backoff_max": 30.0,
        "backoff_factor": 2.0,
        "backoff_jitter": 1.0,
        "retry_after_max": 60.0,
        "gone_after": 30.0,
        "max_concurrent_lists": 4,
        "queue_size": 8,
        "max_object_bytes": 64 * 1024 * 1024,
        "compression": False,
        "time_slice": 0.002,
        "slow_handler_warning": 30.0,
    }


def test_every_field_is_documented() -> None:
    """By the text right below it."""
    body = ast.parse(inspect.getsource(module.Settings)).body[0]
    assert isinstance(body, ast.ClassDef)
    documented = [
        node.target.id
        for node, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(text, ast.Expr)
    ]
    assert documented == [field.name for field in FIELDS]


def test_settings_are_keyword_only_and_frozen() -> None:
    with pytest.raises(TypeError):
        Settings(10.0)  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().page_size = 1  # type: ignore[misc]
    assert Settings(page_size=100) == dataclasses.replace(Settings(), page_size=100) != Settings()


@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_may_be_negative(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Settings\.{name} must be positive, not -1"):
        changed(name, -1)


@pytest.mark.parametrize("name", NUMBERS)
def test_zero_is_for_what_can_be_left_out(name: str) -> None:
    if name in MAY_BE_ZERO:
        assert getattr(changed(name, 0), name) == 0
    else:
        with pytest.raises(ValueError, match=rf"Settings\.{name} must be positive, not 0"):
            changed(name, 0)


@pytest.mark.parametrize("name", ["watch_list", "compression"])
@pytest.mark.parametrize("value", [True, False])
def test_switches_are_either(name: str, value: bool) -> None:
    assert getattr(changed(name, value), name) is value


def test_bounds_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="watch_timeout_max must not be smaller than watch_timeout_min"):
        Settings(watch_timeout_min=10.0, watch_timeout_max=9.0)
    assert Settings(watch_timeout_min=10.0, watch_timeout_max=10.0).watch_timeout_max == 10.0


def test_a_backoff_does_not_shrink() -> None:
    with pytest.raises(ValueError, match="backoff_factor must be at least 1"):
        Settings(backoff_factor=0.5)
    assert Settings(backoff_factor=1.0).backoff_factor == 1.0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("connect_timeout", "3", "must be a number, not '3'"),
        ("connect_timeout", None, "must be a number, not None"),
        ("page_size", 2.5, "must be a whole number, not 2.5"),
        ("page_size", True, "must be a whole number, not True"),
        ("watch_list", "no", "must be True or False, not 'no'"),
        ("compression", 1, "must be True or False, not 1"),
    ],
)
def test_values_of_another_type_are_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"^Settings.{name} {words}$"):
        changed(name, value)
