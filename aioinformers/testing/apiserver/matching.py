"""Which requests a text such as ``watch pods`` means. Pure."""

from __future__ import annotations

from collections.abc import Callable

from aioinformers.checks import shown, suggestion
from aioinformers.naming import resource_of
from aioinformers.testing.apiserver.resources import Resources
from aioinformers.testing.apiserver.routing import VERBS, RequestInfo
from aioinformers.types import GroupVersionResource

__all__ = ["matcher"]

ANY = "*"


def matcher(text: str, resources: Resources) -> Callable[[RequestInfo], bool]:
    """Return a function that tells whether a request is one of ``VERB RESOURCE``; either may be ``*``.

    Args:
        text: The verb as in RBAC, and any name of a resource that is served, or ``plural.version.group`` of one that
            will be; ``pods/status`` means requests for the status alone.
        resources: What is served now.

    Raises:
        ValueError: If there is no such verb or resource; says what comes near.
    """
    verb, _, name = text.partition(" ")
    if not name or " " in name:
        raise ValueError(f"{text!r} is not of the form 'VERB RESOURCE', such as 'watch pods' or 'list *'")
    if verb not in (ANY, *VERBS):
        raise ValueError(f"there is no verb {verb!r} in {shown(text)}: {suggestion(verb, VERBS)}")
    name, slash, subresource = name.partition("/")
    served = None if name == ANY else _resources(name, resources)

    def matches(request: RequestInfo) -> bool:
        target = request.target
        if verb not in (ANY, request.verb) or (slash and (target is None or target.subresource != subresource)):
            return False
        return served is None or (target is not None and target.gvr in served)

    return matches


def _resources(name: str, resources: Resources) -> frozenset[GroupVersionResource]:
    if found := resources.called(name):
        return frozenset(resource.gvr for resource in found)
    try:
        return frozenset([resource_of(name)])  # one that is going to be served, or is missed on purpose
    except ValueError:
        raise ValueError(f"no resource is served as {name!r}: {resources.advice(name)}") from None
