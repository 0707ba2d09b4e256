"""What an app's routes depend on, found before it serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import routing

__all__ = ["dependencies_of"]


def dependencies_of(app: Any) -> Iterator[Any]:
    """Yield everything that the routes of an app call as a dependency, each once, in order.

    Looked at are its routes and those of included routers, dependencies of dependencies, and mounted apps, also inside
    middleware. What ``dependency_overrides`` of an app replaces is left out: nobody calls it.

    Args:
        app: A FastAPI or Starlette application, a router, or any other ASGI application, in which nothing is found.
    """
    yield from dict.fromkeys(_called(app, set()))


def _called(app: Any, seen: set[int]) -> Iterator[Any]:
    while app is not None and id(app) not in seen:
        seen.add(id(app))
        overrides = getattr(app, "dependency_overrides", None) or {}
        for route in _flat(getattr(app, "routes", None) or ()):
            if (dependant := getattr(route, "dependant", None)) is not None:
                yield from _below(dependant, overrides)
            yield from _called(getattr(route, "app", None), seen)
        app = getattr(app, "app", None)  # what a middleware wraps


def _flat(routes: Iterable[Any]) -> Iterator[Any]:
    """Yield routes, in place of an included router its own: newer versions of FastAPI keep it as one route."""
    flatten = getattr(routing, "iter_route_contexts", None)
    yield from routes if flatten is None else flatten(list(routes))


def _below(dependant: Any, overrides: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        if each.call not in overrides:
            yield each.call
            yield from _below(each, overrides)
