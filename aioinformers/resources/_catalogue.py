"""Finds a built-in kind by its model or by its resource."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping

from aioinformers.resources._accessor import Group, Kind
from aioinformers.types import GroupVersionResource

__all__ = ["Catalogue"]


class Catalogue:
    """Every built-in kind. The module of a group is imported when it is first asked about.

    Args:
        package: The package that has a module per group, which has a class of the same name, capitalised.
        modules: The module of each API group, by the group's name.
    """

    def __init__(self, package: str, modules: Mapping[str, str]) -> None:
        self._package = package
        self._modules = modules
        self._by_group: dict[str, dict[GroupVersionResource, Kind]] = {}

    def kinds(self) -> list[Kind]:
        """Return every built-in kind."""
        return [kind for group in self._modules for kind in self._kinds_of(group).values()]

    def kind_of_model(self, model: type) -> Kind:
        """Return the kind of a kubernetes_asyncio model class: that of the model's own group and version.

        Raises:
            ValueError: If it is not one that can be listed and watched.
        """
        kind = self._by_model.get(model.__name__)
        if kind is None:
            raise ValueError(
                f"{model.__name__} is no model of a known kind: give its GroupVersionResource to for_resource, with "
                f"object_type={model.__name__} where you want objects of this class"
            )
        return kind

    def kind_of_resource(self, resource: GroupVersionResource) -> Kind | None:
        """Return the built-in kind of a resource; None if it is not one."""
        return self._kinds_of(resource.group).get(resource) if resource.group in self._modules else None

    @functools.cached_property
    def _by_model(self) -> dict[str, Kind]:
        return {kind.model: kind for kind in self.kinds() if kind.model is not None}

    def _kinds_of(self, group: str) -> dict[GroupVersionResource, Kind]:
        if group not in self._by_group:
            name = self._modules[group]
            made: type[Group] = getattr(importlib.import_module(f"{self._package}.{name}"), name.capitalize())
            kinds = [kind for version in made.versions for kind in version.kinds().values()]
            self._by_group[group] = {kind.resource: kind for kind in kinds}
        return self._by_group[group]
