"""What foreign code raises, as failures of our own, in words of our own.

A request runs code that is not ours: the client, its hooks, aiohttp, the loop's transports. Whatever they let out is a
failed request, which is tried again. It is never quoted: their texts hold the password of a proxy, a whole URL, the
bytes of a Secret that came in the place of a header. Nor is it chained, unless it is the operating system's or the
user's own, as tracebacks print chains.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from pathlib import PurePath
from typing import Final

from aioinformers.errors import ConnectionFailedError
from aioinformers.words import address_of, printable

__all__ = ["CLIENT_CLOSED", "credentials_failure", "preparation_failure", "read_failure", "request_failure"]

CLIENT_CLOSED: Final = "the API client has been closed: keep it open while informers run"

_CERTIFICATE_PROBLEMS: Final = {  # X509_V_ERR_* of OpenSSL
    9: "is not valid yet", 10: "has expired", 18: "is signed by itself", 19: "is signed by an unknown authority",
    20: "is signed by an unknown authority", 21: "is signed by an unknown authority", 62: "is for another host name",
    64: "is for another IP address",
}  # fmt: skip
_PAYLOAD_PROBLEMS: Final = {  # causes of aiohttp's ClientPayloadError
    "TransferEncodingError": "inside the chunks of the body",
    "ContentLengthError": "before the body was complete",
    "ContentEncodingError": "the body cannot be decompressed",
}


def credentials_failure(error: BaseException) -> ConnectionFailedError:
    """Return the failure for what the client's hook raised. It is chained: it is the user's own."""
    problem = f"the client's credentials could not be refreshed ({type(error).__name__})"
    failure = ConnectionFailedError(problem, is_refused=True)
    failure.__cause__ = error
    return failure


def preparation_failure(error: BaseException) -> ConnectionFailedError:
    """Return the failure for what was raised while a request was put together: an odd header, an odd selector."""
    return ConnectionFailedError(f"the request cannot be made: {_located(error)}", is_refused=True)


def request_failure(
    error: BaseException, url: object, *, is_closed: bool, connect_timeout: float
) -> ConnectionFailedError:
    """Return the failure for what a request raised before there was a response.

    Args:
        error: What it raised.
        url: The host of the client's configuration, whatever that is.
        is_closed: Whether the client has been closed.
        connect_timeout: Seconds that a connection may take.
    """
    import aiohttp

    if is_closed:
        return ConnectionFailedError(CLIENT_CLOSED, is_refused=True)
    where = address_of(url) or "the host of the client's configuration"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return ConnectionFailedError(f"cannot connect to {where} within {connect_timeout:g} s", is_refused=True)
    problem = _connect_problem(error, where, has_user="@" in str(url))
    if problem:
        failure = ConnectionFailedError(problem, is_refused=True)
    else:
        failure = ConnectionFailedError(f"the request failed: {_answer_problem(error)}")
    failure.__cause__ = _harmless(error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error)
    return failure


def read_failure(error: BaseException) -> ConnectionFailedError:
    """Return the failure for what the reading of a body raised."""
    import aiohttp

    match error:
        case aiohttp.ClientPayloadError():
            words = _PAYLOAD_PROBLEMS.get(type(error.__cause__).__name__, "before the body was complete")
        case OSError():
            words = _system_problem(error)
        case aiohttp.ClientConnectionError() | RuntimeError():  # the latter if it broke between two reads
            words = "it has been closed"
        case _:
            words = _located(error)
    failure = ConnectionFailedError(f"the connection broke while reading: {words}")
    failure.__cause__ = _harmless(error)
    return failure


def _connect_problem(error: BaseException, where: str, *, has_user: bool) -> str:
    """Return why there is no connection; empty if there was one, or if that is not known."""
    import aiohttp

    match error:
        case aiohttp.ServerFingerprintMismatch():
            return f"cannot connect to {where}: its TLS certificate is not the one that is expected"
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError():
            is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
            host = f"[{error.host}]" if ":" in error.host else error.host
            there = printable(f"{host}:{error.port}" if error.port else host)
            return f"cannot connect to {'the proxy ' if is_proxy else ''}{there}: {_connector_problem(error)}"
        case aiohttp.ClientHttpProxyError(status=int(status)):
            return f"cannot connect to {where}: the proxy answers {status}"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | UnicodeError():
            return (
                "cannot connect: the host of the client's configuration is not the URL of a server, "
                "such as https://10.0.0.1:6443"
            )
        case ValueError() if has_user:
            return (
                f"cannot connect to {where}: a user stands in the host of the client's configuration, but the client "
                f"has a token: leave one of them out"
            )
    return ""


def _connector_problem(error: BaseException) -> str:
    import aiohttp

    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _system_problem(error.certificate_error)
        case aiohttp.ClientConnectorDNSError():
            return "its name cannot be resolved"
        case aiohttp.ClientConnectorError():
            # Without a number it sums up the errors of several addresses.
            return _system_problem(error.os_error) if error.os_error.errno else "none of its addresses answers"
    raise AssertionError(f"{type(error).__name__} is no error of a connector")


def _answer_problem(error: BaseException) -> str:
    """Return why a request that may have been sent has no response."""
    import aiohttp

    match error:
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection before it answered"
        case aiohttp.ClientResponseError(message=str(message)) if "content-encoding" in message.lower():
            return "the answer is compressed in a way that was not asked for"
        case aiohttp.ClientResponseError():
            return "what came is no answer of HTTP, or its headers are too long"
        case aiohttp.ClientPayloadError():
            return "the connection broke before the answer"
    return _system_problem(error)


def _system_problem(error: BaseException) -> str:
    """Return the words for an error of the operating system, of TLS, or of whatever else."""
    match error:
        case ssl.SSLCertVerificationError():
            code = getattr(error, "verify_code", 0)
            return f"its TLS certificate {_CERTIFICATE_PROBLEMS.get(code, f'is not trusted (OpenSSL says {code})')}"
        case ssl.SSLError(reason=str(reason)) if re.fullmatch(r"[A-Z0-9_]{1,80}", reason):
            return f"TLS failed ({reason})"
        case ssl.SSLError():
            return "TLS failed"
        case socket.gaierror():
            return "its name cannot be resolved"
        case OSError(errno=int(number)) if number > 0:
            words = os.strerror(number)
            return words[:1].lower() + words[1:]
        case ConnectionResetError() | BrokenPipeError():
            return "the connection was reset"
    return _located(error)


def _located(error: BaseException) -> str:
    """Return the name of an exception and where it was raised: enough to find it, and nothing that it says."""
    traceback = error.__traceback__
    if traceback is None:
        return type(error).__name__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    file = PurePath(traceback.tb_frame.f_code.co_filename).name
    return f"{type(error).__name__} in {file}, line {traceback.tb_lineno}"


def _harmless(error: BaseException) -> OSError | None:
    """Return an exception if it is the operating system's own: it knows numbers and addresses, and no secrets."""
    if isinstance(error, OSError) and error.errno is not None and not type(error).__module__.startswith("aiohttp"):
        return error
    return None
