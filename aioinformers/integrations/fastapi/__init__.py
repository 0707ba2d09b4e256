"""Informers in FastAPI: a lifespan that runs them, and dependencies that read them. Needs the extra ``fastapi``.

``lifespan`` runs them, ``signals`` is how it hears that the app is to stop, ``routes`` how it finds what routes depend
on, ``dependencies`` and ``events`` are what these use, and ``refusals`` what clients are told.
"""

from __future__ import annotations

try:
    import fastapi  # noqa: F401  the modules below do
except ImportError as _missing:
    raise ImportError("this needs FastAPI: pip install 'aioinformers[fastapi]'") from _missing

from aioinformers.integrations.fastapi.dependencies import (
    EXCEPTION_HANDLERS,
    Dependency,
    Factory,
    Stopping,
    indexer_of,
    informer_of,
    lister_of,
)
from aioinformers.integrations.fastapi.events import EventOptions, EventStream, events_of
from aioinformers.integrations.fastapi.lifespan import InformersLifespan, informers
from aioinformers.integrations.lifecycle import ServerStoppingError

__all__ = [
    "EXCEPTION_HANDLERS",
    "Dependency",
    "EventOptions",
    "EventStream",
    "Factory",
    "InformersLifespan",
    "ServerStoppingError",
    "Stopping",
    "events_of",
    "indexer_of",
    "informer_of",
    "informers",
    "lister_of",
]
