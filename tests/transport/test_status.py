"""Failures of a server, or of something between, as exceptions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioinformers.errors import (
    ApiStatusError,
    BadRequestError,
    ForbiddenError,
    GoneError,
    ServerBusyError,
    UnauthorizedError,
)
from aioinformers.transport.status import status_error

TOO_DEEP = 20_000
"""Levels that no decoder recurses into."""


def dump(document: object) -> bytes:
    """Write JSON as API servers do."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


class TestStatusError:
    """Failures of a server, or of something between, as exceptions."""

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(401, UnauthorizedError), (403, ForbiddenError), (410, GoneError), (422, BadRequestError),
         (429, ServerBusyError), (503, ServerBusyError), (500, ApiStatusError), (418, ApiStatusError)],
    )  # fmt: skip
    def test_the_class_follows_the_status(self, status: int, kind: type[ApiStatusError]) -> None:
        """Of the response, or of the body where that has a code."""
        body = dump({"kind": "Status", "message": "words", "reason": "Why"})
        for error in (status_error(body, status), status_error(dump({"code": status, "message": "words"}), 200)):
            assert type(error) is kind
            assert (error.status, error.message) == (status, "words")

    @pytest.mark.parametrize(
        "body",
        [
            {"code": 504, "reason": "Timeout", "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]}},
            {"code": 504, "reason": "Timeout", "details": {"causes": [{"message": "Too large resource version"}]}},
            {"code": 504, "reason": "Timeout", "message": "Timeout: Too large resource version: 9, current: 5"},
        ],
    )
    def test_a_version_too_large_is_told_in_three_forms(self, body: dict[str, Any]) -> None:
        """Servers of all ages become one cause."""
        assert "ResourceVersionTooLarge" in status_error(dump(body)).causes

    @pytest.mark.parametrize(
        "body",
        [{}, {"message": "Timeout"}, {"details": None}, {"details": {"causes": None}}, {"details": {"causes": [{}]}},
         {"details": {"causes": [{"reason": None, "message": None}]}}],
    )  # fmt: skip
    def test_other_failures_are_no_version_too_large(self, body: dict[str, Any]) -> None:
        """Nor do their gaps break anything."""
        assert "ResourceVersionTooLarge" not in status_error(dump(body), 504).causes

    def test_the_header_says_when_to_retry_before_the_body_does(self) -> None:
        """Seconds of ``Retry-After``, else of the body, else none."""
        body = dump({"code": 429, "details": {"retryAfterSeconds": 3}})
        assert status_error(body, 429, 7.0).retry_after == 7.0
        assert status_error(body, 429).retry_after == 3.0
        assert status_error(body, 429, 0.0).retry_after == 0.0
        assert status_error(dump({"code": 429}), 429).retry_after is None

    @pytest.mark.parametrize(
        "body", [b"<html>token=hunter2</html>", b"", b"null", b"[]", b'"x"', b'{"message":"\xff"}', b"[" * TOO_DEEP]
    )
    def test_a_body_that_is_no_status_is_not_quoted(self, body: bytes) -> None:
        """A proxy's page tells the status only (G16)."""
        error = status_error(body, 502, 4.0)
        assert (error.status, error.reason, error.retry_after) == (502, "", 4.0)
        assert str(error) == "502: the answer is not a Kubernetes Status"

    def test_numbers_written_as_texts_are_understood(self) -> None:
        """Not every aggregated API server is written in Go."""
        error = status_error(b'{"code":"410","reason":"Gone","details":{"retryAfterSeconds":"2"}}')
        assert isinstance(error, GoneError)
        assert error.retry_after == 2.0

    def test_g16_the_servers_words_are_made_printable_and_cut(self) -> None:
        """They reach terminals and logs, and a hostile server may send a megabyte of them."""
        hostile = "\x1b[2J\u202ewords\nAUDIT: all is well" + "x" * 100_000
        body = {"code": 500, "reason": hostile, "message": hostile, "details": {"causes": [{"reason": hostile}] * 1000}}
        error = status_error(dump(body))
        assert str(error).isprintable()
        assert r"\x1b[2J\u202ewords AUDIT: all is well" in error.message
        assert len(str(error)) < 2_000
        assert len(repr(error)) < 20_000
        assert all(cause.isprintable() for cause in error.causes)

    def test_a_version_too_large_is_not_lost_among_many_causes(self) -> None:
        """What is kept of them has a limit."""
        causes = [{"reason": "Other"}] * 100 + [{"message": "Too large resource version"}]
        assert status_error(dump({"code": 504, "details": {"causes": causes}})).causes[-1] == "ResourceVersionTooLarge"
        causes[-1] = {"reason": "ResourceVersionTooLarge"}
        assert "ResourceVersionTooLarge" in status_error(dump({"code": 504, "details": {"causes": causes}})).causes
