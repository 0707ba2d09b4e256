"""What users say of an election, checked: names, durations, functions."""

from __future__ import annotations

import os
import re
import socket
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from aioinformers.checks import is_coroutine_function, require_arguments, require_number, require_seconds, shown
from aioinformers.coordination.lease import Timing

__all__ = ["SERVICE_ACCOUNT", "identity_of", "namespace_of", "require_function", "require_name", "timing_of"]

F = TypeVar("F", bound=Callable[..., Awaitable[object]])

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where a Pod finds the namespace that it is in."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_JITTERED: Final = 1.2
"""By how much the time between two renewals may be longer than the period."""


def require_name(name: Any) -> None:
    """Refuse what cannot be the name of a Lease.

    Raises:
        TypeError: If it is no text.
        ValueError: If it is no DNS subdomain.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a Lease must be a text, not {shown(name)}")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be the name of a Lease: up to 253 lower-case letters, digits, '-' and '.', beginning "
            f"and ending with a letter or digit"
        )


def namespace_of(namespace: Any) -> str:
    """Return the namespace that is given, or that of the Pod.

    Raises:
        TypeError: If it is no text.
        ValueError: If it is no DNS label, or there is none.
    """
    source = "namespace"
    if namespace is None:
        try:
            namespace, source = SERVICE_ACCOUNT.read_text(encoding="utf-8").strip(), str(SERVICE_ACCOUNT)
        except (OSError, UnicodeDecodeError):
            namespace, source = os.environ.get("POD_NAMESPACE", ""), "POD_NAMESPACE"
            if not namespace:
                raise ValueError(
                    f"in which namespace is the Lease? There is no {SERVICE_ACCOUNT}, as there is in a Pod with a "
                    f"service account, and POD_NAMESPACE is not set: give namespace="
                ) from None
    if not isinstance(namespace, str):
        raise TypeError(f"namespace must be a text, not {shown(namespace)}")
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(f"{shown(namespace)} cannot be a namespace ({source})")
    return namespace


def identity_of(identity: Any) -> str:
    """Return the identity that is given, or one that nobody else has.

    Raises:
        TypeError: If it is no text.
        ValueError: If it cannot be printed.
    """
    if identity is None:
        return f"{socket.gethostname()}_{uuid.uuid4()}"
    if not isinstance(identity, str):
        raise TypeError(f"identity must be a text, not {shown(identity)}")
    if not identity.strip() or not identity.isprintable():
        raise ValueError(f"{shown(identity)} cannot be an identity: it must be a text that can be printed")
    return identity


def timing_of(lease_duration: Any, renew_deadline: Any, retry_period: Any) -> Timing:
    """Return the durations of an election.

    Raises:
        TypeError: If one is no number of seconds.
        ValueError: If one cannot be, or they contradict each other.
    """
    given = {"lease_duration": lease_duration, "renew_deadline": renew_deadline, "retry_period": retry_period}
    for name, seconds in given.items():
        require_seconds(name, seconds)
        require_number(name, seconds)
        if not 0 < seconds <= 86_400:
            raise ValueError(f"{name} must be more than 0 seconds and at most a day, not {seconds:g}")
    if not renew_deadline < lease_duration:
        raise ValueError(
            f"renew_deadline={renew_deadline:g} must be less than lease_duration={lease_duration:g}: others may take "
            f"the Lease then, and a leader has to have stopped before"
        )
    if not retry_period * _JITTERED < renew_deadline:
        raise ValueError(
            f"retry_period={retry_period:g} must be less than renew_deadline={renew_deadline:g} / {_JITTERED}: "
            f"renewals would come too late"
        )
    return Timing(float(lease_duration), float(renew_deadline), float(retry_period))


def require_function(function: F, role: str, argument: str) -> F:
    """Return a function that can be awaited with one argument.

    Raises:
        TypeError: If it is something else.
    """
    if not is_coroutine_function(function):
        raise TypeError(f"{role} needs an async function, not {shown(function)}: `async def`")
    require_arguments(function, role, argument)
    return function
