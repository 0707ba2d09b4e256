"""The built-in kinds: one module per group, one attribute per kind."""

from __future__ import annotations

from aioinformers.resources._accessor import Accessor, InformerSource, Kind, Version
from aioinformers.resources.apps import Apps
from aioinformers.resources.core import Core
from aioinformers.types import GroupVersionResource

__all__ = [
    "Accessor",
    "Apps",
    "Core",
    "Groups",
    "InformerSource",
    "Kind",
    "Version",
    "kind_of_model",
    "kind_of_resource",
]

_GROUPS = (Core, Apps)


class Groups:
    """The API groups as attributes; a factory inherits them."""

    def __init__(self, factory: InformerSource) -> None:
        self.core = Core(factory)
        self.apps = Apps(factory)


def kinds() -> list[Kind]:
    """Return every built-in kind."""
    return [kind for group in _GROUPS for version in group.versions for kind in version.kinds().values()]


def kind_of_model(model: type) -> Kind:
    """Return the kind of a kubernetes_asyncio model class.

    Raises:
        ValueError: If it is none that can be listed and watched.
    """
    for kind in kinds():
        if kind.model == model.__name__:
            return kind
    raise ValueError(
        f"{model.__name__} is no model of a known kind: give its GroupVersionResource to for_resource, with "
        f"object_type={model.__name__} where you want objects of this class"
    )


def kind_of_resource(resource: GroupVersionResource) -> Kind | None:
    """Return the built-in kind of a resource; None if it is not one."""
    return next((kind for kind in kinds() if kind.resource == resource), None)
