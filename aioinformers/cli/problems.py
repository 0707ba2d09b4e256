"""Turns errors into one line that says what to do, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aioinformers.errors import (
    ApiStatusError,
    ConfigurationError,
    ConnectionFailedError,
    CredentialsError,
    InformerError,
    ResourceNotFoundError,
    ResponseError,
)

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
    """Return a text without line breaks: messages of servers and exec plugins may have several lines."""
    return " ".join(str(text).split())


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
        raise CommandError(f"no credentials for the API server {server}: {error}") from error
    except ConnectionFailedError as error:
        problem = str(error).removeprefix("cannot connect: ")
        hint = (
            "check the certificates in the kubeconfig"
            if "SSL" in problem
            else "is it running, and is this its address?"
        )
        raise CommandError(f"cannot reach the API server {server}: {problem}: {hint}") from error
    except ResponseError as error:
        raise CommandError(
            f"{server} does not answer as a Kubernetes API server does ({error}): is this its address?"
        ) from error
    except ApiStatusError as error:
        if isinstance(error, ResourceNotFoundError):
            raise usage_error(error.message) from error
        raise CommandError(f"the API server {server} refuses: {error}") from error
    except InformerError as error:
        raise CommandError(str(error)) from error
