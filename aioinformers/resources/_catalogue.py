"""Finds a built-in kind by its model or by its resource."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable, Mapping

from aioinformers.checks import near, shown
from aioinformers.resources._accessor import Group, Kind, attribute_of
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
            TypeError: If it is no class.
            ValueError: If it is not one that can be listed and watched.
        """
        if not isinstance(model, type):
            kind_of_it = type(model).__name__
            advice = f"give the class {kind_of_it}" if kind_of_it in self._by_model else "resources go to for_resource"
            raise TypeError(f"a model is a class such as V1Pod, not {shown(model)}: {advice}")
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

    def kinds_of_group(self, group: str) -> list[Kind]:
        """Return the built-in kinds of an API group; none of a group that is not built in."""
        return list(self._kinds_of(group).values()) if group in self._modules else []

    def kinds_called(self, name: str) -> list[Kind]:
        """Return the built-in kinds of a plural, singular or kind, in any case; the usual one first."""
        return [kind for kind in self.kinds() if name.lower() in (kind.resource.resource, kind.kind.lower())]

    def missing(self, name: str, others: Iterable[str]) -> str:
        """Return what to do instead of asking a factory for an attribute that it does not have.

        Args:
            name: The attribute.
            others: Its attributes that are no groups.
        """
        if found := self.kinds_called(name):
            return f"write factory.{attribute_of(found[0].resource)}()"
        meant = near(name, [*self._modules.values(), *others])
        return f"did you mean {meant!r}?" if meant else f"its groups are {', '.join(self._modules.values())}"

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
