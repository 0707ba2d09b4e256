"""The failures of an API server, as ``Status`` bodies; their wording the conformance suite compares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioinformers.errors import ApiStatusError, GoneError
from aioinformers.testing.apiserver.documents import encode
from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resources
from aioinformers.testing.apiserver.status import StatusError
from aioinformers.transport.status import status_error
from tests.testing.apiserver.contents import WIDGETS

PODS = Resources(DEFAULT_RESOURCES).resolve("pods")


@pytest.mark.parametrize(
    ("make", "code", "reason"),
    [
        (lambda: StatusError.bad_request("odd"), 400, "BadRequest"),
        (lambda: StatusError.not_found(PODS, "p"), 404, "NotFound"),
        (StatusError.no_resource, 404, "NotFound"),
        (StatusError.method_not_allowed, 405, "MethodNotAllowed"),
        (lambda: StatusError.already_exists(PODS, "p"), 409, "AlreadyExists"),
        (lambda: StatusError.conflict(PODS, "p"), 409, "Conflict"),
        (lambda: StatusError.expired("too old"), 410, "Expired"),
        (StatusError.unsupported_media_type, 415, "UnsupportedMediaType"),
        (lambda: StatusError.invalid(PODS, "p", [("spec", "FieldValueInvalid", "odd")]), 422, "Invalid"),
        (lambda: StatusError.invalid_options([("limit", "FieldValueInvalid", "odd")]), 422, "Invalid"),
        (lambda: StatusError.version_too_large(9, 5), 504, "Timeout"),
    ],
)
def test_every_failure_is_understood_by_an_informer(make: Callable[[], StatusError], code: int, reason: str) -> None:
    """Its body becomes the error that users see, with the same words."""
    failure = make()
    seen = status_error(encode(failure.body()), failure.code)
    assert (seen.status, seen.reason, seen.message) == (failure.code, failure.reason, failure.message)
    assert (failure.code, failure.reason) == (code, reason)
    assert seen.retry_after == failure.retry_after
    assert str(failure) == f"{code} {reason}: {failure.message}"


def test_a_version_of_the_future_says_when_to_come_again_and_is_told_from_other_timeouts() -> None:
    failure = StatusError.version_too_large(9, 5)
    seen: ApiStatusError = status_error(encode(failure.body()))
    assert failure.retry_after == 1
    assert "ResourceVersionTooLarge" in seen.causes


def test_an_expired_page_offers_a_new_token() -> None:
    body = StatusError.expired("too old", continue_token="fresh").body()
    assert body["metadata"] == {"continue": "fresh"}
    assert isinstance(status_error(encode(body)), GoneError)
    assert StatusError.expired("too old").body()["metadata"] == {}


@pytest.mark.parametrize(
    ("failure", "details"),
    [
        (StatusError.not_found(PODS, "p"), {"name": "p", "kind": "pods"}),
        (StatusError.not_found(WIDGETS, "w"), {"name": "w", "group": "example.com", "kind": "widgets"}),
        (StatusError.no_resource(), {}),
        (StatusError.bad_request("odd"), None),
    ],
)
def test_the_details_name_the_object_and_its_group(failure: StatusError, details: dict[str, Any] | None) -> None:
    assert failure.body().get("details") == details


def test_one_cause_stands_by_itself_and_several_in_brackets() -> None:
    one = ("metadata.name", "FieldValueRequired", "Required value")
    other = ("spec", "FieldValueInvalid", "odd")
    assert StatusError.invalid(PODS, "", [one]).message == 'Pod "" is invalid: metadata.name: Required value'
    both = StatusError.invalid(WIDGETS, "w", [one, other])
    assert both.message == 'Widget.example.com "w" is invalid: [metadata.name: Required value, spec: odd]'
    assert both.body()["details"]["causes"][1] == {"reason": "FieldValueInvalid", "message": "odd", "field": "spec"}


def test_kinds_that_are_no_resources_and_patches_that_say_nothing() -> None:
    invalid = StatusError.invalid_kind("autoscaling", "Scale", "x", [("spec.replicas", "FieldValueInvalid", "no")])
    options = StatusError.invalid_options([("dryRun", "FieldValueNotSupported", "no")], kind="PatchOptions")

    assert invalid.message == 'Scale.autoscaling "x" is invalid: spec.replicas: no'
    assert options.message == 'PatchOptions.meta.k8s.io "" is invalid: dryRun: no'
    assert StatusError.unprocessable().body()["details"] == {}
