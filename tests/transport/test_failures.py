"""Foreign exceptions in words of our own: what went wrong and where, and nothing of what they say."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import traceback
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import http_exceptions
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from aioinformers.errors import ConnectionFailedError
from aioinformers.transport.failures import (
    CLIENT_CLOSED,
    credentials_failure,
    preparation_failure,
    read_failure,
    request_failure,
)

SECRET = "hunter2"
HOST = f"https://user:{SECRET}@cluster.example:6443"
PROXY = URL(f"http://user:{SECRET}@proxy.example:3128")


def key(host: str = "cluster.example", port: int | None = 6443) -> ConnectionKey:
    return ConnectionKey(host, port, True, True, PROXY, None, None)


def with_cause(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def certificate(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {SECRET}")
    error.verify_code = code
    return error


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, SECRET)
    error.reason = reason
    return error


def answer_of(status: int) -> dict[str, Any]:
    return {"request_info": Mock(real_url=PROXY), "history": (), "status": status, "message": SECRET}


REFUSED = OSError(errno.ECONNREFUSED, f"Connect call failed {SECRET}")

CONNECTING: dict[str, tuple[BaseException, str]] = {
    "refused": (
        aiohttp.ClientConnectorError(key(), REFUSED),
        "cannot connect to cluster.example:6443: connection refused",
    ),
    "no route": (
        aiohttp.ClientConnectorError(key("::1"), OSError(errno.EHOSTUNREACH, SECRET)),
        "cannot connect to [::1]:6443: no route to host",
    ),
    "all addresses": (
        aiohttp.ClientConnectorError(key(), OSError(f"Multiple exceptions: {SECRET}")),
        "cannot connect to cluster.example:6443: none of its addresses answers",
    ),
    "no such name": (
        aiohttp.ClientConnectorDNSError(key(), socket.gaierror(socket.EAI_NONAME, SECRET)),
        "cannot connect to cluster.example:6443: its name cannot be resolved",
    ),
    "untrusted": (
        aiohttp.ClientConnectorCertificateError(key(), certificate(20)),
        "cannot connect to cluster.example:6443: its TLS certificate is signed by an unknown authority",
    ),
    "expired": (
        aiohttp.ClientConnectorCertificateError(key(), certificate(10)),
        "cannot connect to cluster.example:6443: its TLS certificate has expired",
    ),
    "other certificate problem": (
        aiohttp.ClientConnectorCertificateError(key(), certificate(77)),
        "cannot connect to cluster.example:6443: its TLS certificate is not trusted (OpenSSL says 77)",
    ),
    "fingerprint": (
        aiohttp.ServerFingerprintMismatch(b"", SECRET.encode(), "cluster.example", 6443),
        "cannot connect to cluster.example:6443: its TLS certificate is not the one that is expected",
    ),
    "no TLS there": (
        aiohttp.ClientConnectorSSLError(key(), tls("WRONG_VERSION_NUMBER")),
        "cannot connect to cluster.example:6443: TLS failed (WRONG_VERSION_NUMBER)",
    ),
    "odd reason": (
        aiohttp.ClientConnectorSSLError(key(), tls(f"what {SECRET}")),
        "cannot connect to cluster.example:6443: TLS failed",
    ),
    "proxy refused": (
        aiohttp.ClientProxyConnectionError(key("proxy.example", 3128), REFUSED),
        "cannot connect to the proxy proxy.example:3128: connection refused",
    ),
    "proxy wants a password": (
        aiohttp.ClientHttpProxyError(**answer_of(407)),
        "cannot connect to cluster.example:6443: the proxy answers 407",
    ),
    "too slow": (aiohttp.ConnectionTimeoutError(SECRET), "cannot connect to cluster.example:6443 within 7 s"),
    "no URL": (aiohttp.InvalidURL(HOST), "cannot connect: the host of the client's configuration is not the URL of a"),
    "other scheme": (aiohttp.NonHttpUrlClientError(HOST), "cannot connect: the host of the client's configuration is"),
    "a user and a token": (
        ValueError(SECRET),
        "cannot connect to cluster.example:6443: a user stands in the host of the client's configuration, but",
    ),
    "long label": (UnicodeError(SECRET), "cannot connect: the host of the client's configuration is not the URL of a"),
}  # fmt: skip

ANSWERING: dict[str, tuple[BaseException, str]] = {
    "closed": (aiohttp.ServerDisconnectedError(SECRET), "the server closed the connection before it answered"),
    "no HTTP": (
        aiohttp.ClientResponseError(**answer_of(400)),
        "what came is no answer of HTTP, or its headers are too",
    ),
    "other compression": (
        aiohttp.ClientResponseError(**answer_of(400) | {"message": f"Can not decode content-encoding: {SECRET}"}),
        "the answer is compressed in a way that was not asked for",
    ),
    "payload": (aiohttp.ClientPayloadError(SECRET), "the connection broke before the answer"),
    "reset": (aiohttp.ClientOSError(errno.ECONNRESET, SECRET), "connection reset by peer"),
    "reset without a number": (aiohttp.ClientConnectionResetError(SECRET), "the connection was reset"),
    "alert of TLS": (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "TLS failed (TLSV13_ALERT_CERTIFICATE_REQUIRED)"),
    "a deadline of somebody's": (TimeoutError(SECRET), "TimeoutError"),
    "a cancellation of nobody's": (asyncio.CancelledError(SECRET), "CancelledError"),
    "anything": (RuntimeError(SECRET), "RuntimeError"),
}

READING: dict[str, tuple[BaseException, str]] = {
    "inside a chunk": (
        with_cause(aiohttp.ClientPayloadError(SECRET), http_exceptions.TransferEncodingError(SECRET)),
        "inside the chunks of the body",
    ),
    "inside the body": (
        with_cause(aiohttp.ClientPayloadError(SECRET), http_exceptions.ContentLengthError(SECRET)),
        "before the body was complete",
    ),
    "no gzip": (
        with_cause(aiohttp.ClientPayloadError(SECRET), http_exceptions.ContentEncodingError(SECRET)),
        "the body cannot be decompressed",
    ),
    "some payload": (aiohttp.ClientPayloadError(SECRET), "before the body was complete"),
    "closed": (aiohttp.ClientConnectionError(SECRET), "it has been closed"),
    "disconnected": (aiohttp.ServerDisconnectedError(SECRET), "it has been closed"),
    "closed between two reads": (RuntimeError(SECRET), "it has been closed"),
    "reset": (ConnectionResetError(errno.ECONNRESET, SECRET), "connection reset by peer"),
    "reset without a number": (aiohttp.ClientConnectionResetError(SECRET), "the connection was reset"),
    "TLS": (tls("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), "TLS failed (DECRYPTION_FAILED_OR_BAD_RECORD_MAC)"),
    "anything": (ValueError(SECRET), "ValueError"),
}


def failed(error: BaseException, *, is_closed: bool = False) -> ConnectionFailedError:
    return request_failure(error, HOST, is_closed=is_closed, connect_timeout=7.0)


@pytest.mark.parametrize("name", CONNECTING)
def test_without_a_connection_it_is_said_where_to_and_why(name: str) -> None:
    error, words = CONNECTING[name]
    failure = failed(error)
    assert str(failure).startswith(words)
    assert failure.is_refused


@pytest.mark.parametrize("name", ANSWERING)
def test_without_an_answer_it_is_said_how_the_request_ended(name: str) -> None:
    error, words = ANSWERING[name]
    failure = failed(error)
    assert str(failure).startswith(f"the request failed: {words}")
    assert not failure.is_refused


@pytest.mark.parametrize("name", READING)
def test_a_body_that_breaks_off_says_how(name: str) -> None:
    error, words = READING[name]
    assert str(read_failure(error)) == f"the connection broke while reading: {words}"


@pytest.mark.parametrize("error", [error for error, _ in [*CONNECTING.values(), *ANSWERING.values()]])
def test_g16_no_foreign_text_is_quoted_or_chained(error: BaseException) -> None:
    """But of the operating system's own errors, of which the texts are a number's."""
    for failure in (failed(error), read_failure(error)):
        assert SECRET not in f"{failure} {failure!r}"
        assert failure.__context__ is None
        if failure.__cause__ is None:
            assert SECRET not in "".join(traceback.format_exception(failure))
        else:
            assert type(failure.__cause__).__module__ in ("builtins", "socket", "ssl")
            assert isinstance(failure.__cause__, OSError)
            assert failure.__cause__.errno is not None


def test_an_error_that_nobody_knows_says_where_it_was_raised() -> None:
    def buggy() -> None:
        raise ZeroDivisionError(SECRET)

    with pytest.raises(ZeroDivisionError) as caught:
        buggy()
    line = buggy.__code__.co_firstlineno + 1
    assert str(failed(caught.value)) == (f"the request failed: ZeroDivisionError in test_failures.py, line {line}")


def test_a_client_that_has_been_closed_is_the_reason_for_whatever_came_of_it() -> None:
    for error, _ in [*CONNECTING.values(), *ANSWERING.values()]:
        failure = failed(error, is_closed=True)
        assert (str(failure), failure.is_refused, failure.__cause__) == (CLIENT_CLOSED, True, None)


def test_what_cannot_be_put_together_is_refused_before_any_connection() -> None:
    failure = preparation_failure(KeyError(SECRET))
    assert (str(failure), failure.is_refused) == ("the request cannot be made: KeyError", True)
    assert failure.__cause__ is None


def test_g16_what_a_hook_raised_is_chained_but_not_quoted() -> None:
    """It is the user's own; without its traceback nobody could mend it."""
    error = RuntimeError(f"the plug-in said {SECRET}")
    failure = credentials_failure(error)
    assert str(failure) == "the client's credentials could not be refreshed (RuntimeError)"
    assert failure.is_refused
    assert failure.__cause__ is error
