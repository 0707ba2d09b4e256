"""What users name a resource by, and what they probably meant where they named none."""

from __future__ import annotations

import re
from typing import Any

from aioinformers.checks import near, shown
from aioinformers.resources import GROUPS, Accessor, attribute_of, kind_of_model, kinds_called, kinds_of_group
from aioinformers.types import GroupVersionResource, is_version

__all__ = ["resource_of"]


def resource_of(what: Any) -> GroupVersionResource:
    """Return the resource that a model class, a resource or its text names.

    Only what it says is looked at; no server is asked.

    Raises:
        TypeError: If it is something else; says how to write it.
        ValueError: If it names no resource; says what comes near.
    """
    if isinstance(what, GroupVersionResource):
        return _checked(what)
    if isinstance(what, str):
        return _checked(_parsed(what))
    if isinstance(what, type):
        return kind_of_model(what).resource
    raise TypeError(f"a resource is named by its text, such as 'pods.v1.', or a model class; {_advice(what)}")


def _advice(what: Any) -> str:
    """Return what to do with something that names no resource."""
    if isinstance(what, Accessor):
        return f"{what!r} is to be called: factory.{attribute_of(what.kind.resource)}()"
    if isinstance(what, tuple) and len(what) == len(GroupVersionResource._fields):
        return f"write GroupVersionResource{what!r}"
    if hasattr(type(what), "openapi_types"):
        return f"give the class {type(what).__name__}, not one of its objects"
    return f"{shown(what)} is neither"


def _parsed(text: str) -> GroupVersionResource:
    try:
        return GroupVersionResource.parse(text)
    except ValueError:
        words = [word for word in re.split(r"[./]", text.lower()) if word]
        found = [kind for word in words for kind in kinds_called(word)]
        found.sort(key=lambda kind: -len(set(words) & set(kind.resource)))  # stable: what servers prefer stays first
        if not found:
            raise
        meant = _text(found[0].resource)
        raise ValueError(
            f"{shown(text)} does not name a resource: did you mean {meant!r}? It is written plural.version.group"
        ) from None


def _checked(resource: GroupVersionResource) -> GroupVersionResource:
    for part in resource:
        if not isinstance(part, str):
            raise TypeError(f"GroupVersionResource(group, version, resource) takes texts, not {shown(part)}")
    if problem := _problem(resource):
        raise ValueError(f"{shown(_text(resource))} names no resource: {problem}")
    return resource


def _problem(resource: GroupVersionResource) -> str:
    """Return why a resource cannot be one, and what was probably meant; empty if it may be one."""
    group, version, plural = resource
    if "/" in group or "/" in version:
        return f"{group if '/' in group else version!r} is an apiVersion: give the group and the version on their own"
    if group == "core":
        return f"the name of the core group is empty: {plural}.{version}."
    if not is_version(version):
        named = [part for part in resource if is_version(part)]
        others = [part for part in resource if not is_version(part)]
        if len(named) == 1:
            return f"did you mean GroupVersionResource({others[0]!r}, {named[0]!r}, {others[1]!r})?"
    if not (version and plural):
        return "version and plural cannot be empty"
    for kind in kinds_of_group(group):
        if plural != kind.resource.resource and plural.lower() in (kind.resource.resource, kind.kind.lower()):
            return (
                f"a resource is called by its plural: did you mean {_text(kind.resource._replace(version=version))!r}?"
            )
    if plural != plural.lower():
        return f"a resource is called by its plural, in lower case: did you mean {plural_of(plural)!r}?"
    # Groups of custom resources have a dot, so one without is Kubernetes' own.
    own = [each for each in GROUPS if "." not in each]
    if "." not in group and group not in own and (meant := near(group, own)):
        return f"there is no such group: did you mean {_text(resource._replace(group=meant))!r}?"
    return ""


def _text(resource: GroupVersionResource) -> str:
    """Return a resource's text, the core group's with the dot that tells it from an incomplete one."""
    return f"{resource.resource}.{resource.version}.{resource.group}"


def plural_of(kind: str) -> str:
    """Return the plural that a kind or singular usually has."""
    name = kind.lower()
    if name.endswith(("s", "x", "z", "ch", "sh")):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else f"{name}s"
