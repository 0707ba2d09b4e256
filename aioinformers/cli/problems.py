"""Turns errors into one line that says what to do, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from aioinformers.errors import (
    ApiStatusError,
    ConfigurationError,
    ConnectionFailedError,
    CredentialsError,
    InformerError,
    ResourceNotFoundError,
    ResponseError,
)
from aioinformers.words import address_of, brief, printable

__all__ = ["REFUSED", "USAGE", "CommandError", "explained", "one_line", "usage_error"]

REFUSED = 1
"""Exit code: the cluster refuses the request or cannot be reached."""
USAGE = 2
"""Exit code: the input is invalid."""


class CommandError(Exception):
    """Ends a command with one line on stderr.

    Args:
        message: The text; line breaks are replaced by blanks.
        exit_code: The exit code of the process.

    Attributes:
        exit_code: The exit code of the process.
    """

    def __init__(self, message: str, exit_code: int = REFUSED) -> None:
        self.exit_code = exit_code
        super().__init__(one_line(message))


def usage_error(message: str) -> CommandError:
    """Return the error for invalid input."""
    return CommandError(message, USAGE)


def one_line(text: object) -> str:
    """Return a text in one line, and printable: servers and exec plugins may say what they like."""
    return printable(" ".join(str(text).split()))


@contextmanager
def explained(server: str) -> Iterator[None]:
    """Turn the package's errors within the ``with`` block into a :class:`CommandError`.

    Args:
        server: The server's URL, for messages.

    Raises:
        CommandError: For each :class:`~aioinformers.errors.InformerError`.
    """
    try:
        yield
    except ConfigurationError as error:
        raise usage_error(str(error)) from error
    except CredentialsError as error:
        raise CommandError(f"no credentials for the API server {_shown(server)}: {error}") from error
    except ConnectionFailedError as error:
        problem = str(error).removeprefix("cannot connect: ").removeprefix(f"cannot connect to {address_of(server)}: ")
        raise CommandError(f"cannot reach the API server {_shown(server)}: {problem}: {_hint(problem)}") from error
    except ResponseError as error:
        raise CommandError(
            f"{_shown(server)} does not answer as a Kubernetes API server does ({error}): is this its address?"
        ) from error
    except ApiStatusError as error:
        if isinstance(error, ResourceNotFoundError):
            raise usage_error(error.message) from error
        raise CommandError(f"the API server {_shown(server)} refuses: {error}") from error
    except InformerError as error:
        raise CommandError(str(error)) from error


def _shown(server: str) -> str:
    """Return a server's URL without the user and password that may stand in it."""
    if "@" not in server:
        return brief(server)
    return f"{brief(urlsplit(server).scheme, 20)}://{address_of(server)}" if address_of(server) else "of the kubeconfig"


def _hint(problem: str) -> str:
    if "TLS" in problem:
        return "check the certificates in the kubeconfig"
    if "credentials" in problem or "token" in problem:
        return "check the user in the kubeconfig"
    return "is it running, and is this its address?"
