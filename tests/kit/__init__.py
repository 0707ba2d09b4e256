"""What tests of several folders need.

``objects`` to create, a ``recorder`` of events, what is ``running``; beside them, to be imported by themselves,
``fixtures`` that pytest loads, the ``realserver``, and the ``stock`` client as a measure for models.
"""

from tests.kit.objects import Document, cached, configmap, pod, stored, version_of
from tests.kit.ports import free_port, free_ports
from tests.kit.recorder import Recorder
from tests.kit.running import (
    LISTS,
    QUICK,
    child_process,
    collect,
    collected_warnings,
    factory_on,
    started,
    synced,
    until,
)

__all__ = [
    "LISTS",
    "QUICK",
    "Document",
    "Recorder",
    "cached",
    "child_process",
    "collect",
    "collected_warnings",
    "configmap",
    "factory_on",
    "free_port",
    "free_ports",
    "pod",
    "started",
    "stored",
    "synced",
    "until",
    "version_of",
]
