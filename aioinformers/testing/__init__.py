"""Tools for testing code that uses informers: an embedded API server and virtual time.

``status``, ``resources``, ``documents``, ``table``, ``storage``, ``selection``, ``listing``, ``watching``,
``routing`` and ``discovery`` are pure; ``exchange``, ``handlers`` and ``server`` put them on a socket;
``clock`` is an event loop whose time jumps; ``chaos`` is a proxy that harms connections.
"""

from aioinformers.testing.chaos import ChaosProxy
from aioinformers.testing.clock import VirtualTimeLoop, run_virtual
from aioinformers.testing.exchange import Ending, Fault, drop_bookmarks
from aioinformers.testing.resources import DEFAULT_RESOURCES, Resource
from aioinformers.testing.routing import RequestInfo
from aioinformers.testing.server import FakeAPIServer, Interceptor
from aioinformers.testing.status import StatusError

__all__ = [
    "DEFAULT_RESOURCES",
    "ChaosProxy",
    "Ending",
    "FakeAPIServer",
    "Fault",
    "Interceptor",
    "RequestInfo",
    "Resource",
    "StatusError",
    "VirtualTimeLoop",
    "drop_bookmarks",
    "run_virtual",
]
