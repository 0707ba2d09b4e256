"""The changes that add and remove one finalizer, and leave those of others alone whatever happens meanwhile. Pure.

Both are steps of JSON patches (RFC 6902) that test what they rest on: if somebody else has changed the list since, the
server refuses them, and the object has to be read anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

__all__ = ["Steps", "adding", "check_name", "removing"]

Steps: TypeAlias = list[dict[str, Any]]

_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def check_name(finalizer: object) -> str:
    """Return a finalizer's name, if it can be one.

    Raises:
        TypeError: If it is no text.
        ValueError: If it has no domain, which servers refuse for custom resources, or other characters.
    """
    if not isinstance(finalizer, str):
        raise TypeError(f"a finalizer is a text such as 'example.com/cleanup', not {finalizer!r}")
    domain, slash, name = finalizer.partition("/")
    if not slash or not _DOMAIN.fullmatch(domain) or not _NAME.fullmatch(name) or len(name) > 63:
        raise ValueError(
            f"a finalizer is named by a domain and a word, such as 'example.com/cleanup', not {finalizer!r}"
        )
    return finalizer


def adding(finalizers: Sequence[str], finalizer: str, uid: str) -> Steps:
    """Return the steps that add a finalizer behind those that an object has.

    Args:
        finalizers: Those that it has.
        finalizer: The new one.
        uid: The object's uid, which is tested: another one of the same name is not meant.
    """
    steps: Steps = [{"op": "test", "path": "/metadata/uid", "value": uid}]
    if finalizers:
        steps.append({"op": "test", "path": "/metadata/finalizers", "value": list(finalizers)})
        steps.append({"op": "add", "path": "/metadata/finalizers/-", "value": finalizer})
    else:
        steps.append({"op": "test", "path": "/metadata/finalizers", "value": None})
        steps.append({"op": "add", "path": "/metadata/finalizers", "value": [finalizer]})
    return steps


def removing(finalizers: Sequence[str], finalizer: str, uid: str) -> Steps | None:
    """Return the steps that remove a finalizer; None if it is not there.

    Args:
        finalizers: Those that the object has.
        finalizer: The one to remove.
        uid: The object's uid.
    """
    if finalizer not in finalizers:
        return None
    at = list(finalizers).index(finalizer)
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": f"/metadata/finalizers/{at}", "value": finalizer},
        {"op": "remove", "path": f"/metadata/finalizers/{at}"},
    ]
