"""Reconcile loops: a function that is called for each object until it is what it should be, and the queue below."""

from aioinformers.controllers.conditions import set_condition
from aioinformers.controllers.controller import Controller
from aioinformers.controllers.outcomes import Requeue, Terminal, Trigger, Why
from aioinformers.controllers.queue import Item, WorkQueue
from aioinformers.controllers.request import Request
from aioinformers.controllers.run import run
from aioinformers.controllers.schedule import Priority
from aioinformers.statistics import BusyRun, ControllerState, ControllerStatistics, FailingKey, QueueStatistics

__all__ = [
    "BusyRun", "Controller", "ControllerState",
    "ControllerStatistics", "FailingKey", "Item", "Priority", "QueueStatistics", "Request",
    "Requeue", "Terminal", "Trigger", "Why", "WorkQueue", "run", "set_condition",
]  # fmt: skip
