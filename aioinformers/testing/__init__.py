"""Tools for testing code that uses informers: an embedded API server, a faulty proxy, a recorder and virtual time.

``apiserver`` is the server; ``clock`` is an event loop with virtual time; ``chaos`` is a proxy that disturbs
connections; ``recorder`` is a handler that keeps events; ``harness`` runs controllers; ``pytest_plugin`` provides
fixtures and a mark.

Names are imported at their first use, because pytest loads the plugin in every run of a user's tests.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioinformers.testing.apiserver.exchange import Ending, Fault, drop_bookmarks
    from aioinformers.testing.apiserver.resources import DEFAULT_RESOURCES, Resource, ResourceName, ScalePaths
    from aioinformers.testing.apiserver.routing import RequestInfo
    from aioinformers.testing.apiserver.server import FakeAPIServer, Interceptor
    from aioinformers.testing.apiserver.status import StatusError
    from aioinformers.testing.apiserver.storage import Backup
    from aioinformers.testing.chaos import ChaosProxy
    from aioinformers.testing.clock import VirtualTimeLoop, run_virtual
    from aioinformers.testing.harness import ControllerHarness
    from aioinformers.testing.recorder import EventRecorder

__all__ = [
    "DEFAULT_RESOURCES",
    "Backup",
    "ChaosProxy",
    "ControllerHarness",
    "Ending",
    "EventRecorder",
    "FakeAPIServer",
    "Fault",
    "Interceptor",
    "RequestInfo",
    "Resource",
    "ResourceName",
    "ScalePaths",
    "StatusError",
    "VirtualTimeLoop",
    "drop_bookmarks",
    "run_virtual",
]

_MODULES = {
    "DEFAULT_RESOURCES": "apiserver.resources",
    "Backup": "apiserver.storage",
    "ChaosProxy": "chaos",
    "ControllerHarness": "harness",
    "Ending": "apiserver.exchange",
    "EventRecorder": "recorder",
    "FakeAPIServer": "apiserver.server",
    "Fault": "apiserver.exchange",
    "Interceptor": "apiserver.server",
    "RequestInfo": "apiserver.routing",
    "Resource": "apiserver.resources",
    "ResourceName": "apiserver.resources",
    "ScalePaths": "apiserver.resources",
    "StatusError": "apiserver.status",
    "VirtualTimeLoop": "clock",
    "drop_bookmarks": "apiserver.exchange",
    "run_virtual": "clock",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
