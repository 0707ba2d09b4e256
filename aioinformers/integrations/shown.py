"""What a face has been told to show, held weakly: what is gone is shown no more."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from aioinformers.controllers.controller import Controller
from aioinformers.coordination.election import LeaderElection
from aioinformers.factory import SharedInformerFactory
from aioinformers.integrations.observation import Observation
from aioinformers.integrations.snapshot import Snapshot, snapshot

__all__ = ["Shown", "Subject"]


class Subject:
    """A factory that is to be shown, with its controllers and elections; none of them is kept alive.

    While it is observed, what nobody pays for otherwise is measured.

    Args:
        factory: The factory.
        controllers: Controllers.
        elections: Candidates for leadership.
    """

    def __init__(
        self,
        factory: SharedInformerFactory,
        controllers: Iterable[Controller[Any]],
        elections: Iterable[LeaderElection],
    ) -> None:
        self._factory = weakref.ref(factory)
        self._controllers = tuple(weakref.ref(each) for each in controllers)
        self._elections = tuple(weakref.ref(each) for each in elections)
        self._observation: Observation | None = None

    def observe(self) -> None:
        """Observe it from now on; to be called at each look, too."""
        if self._observation is not None:
            self._observation.look()
        elif (factory := self.factory) is not None:
            self._observation = Observation(factory)

    def close(self) -> None:
        """Observe it no more; idempotent."""
        if self._observation is not None:
            self._observation.close()

    @property
    def factory(self) -> SharedInformerFactory | None:
        """The factory; None if it is gone."""
        return self._factory()

    @property
    def controllers(self) -> list[Controller[Any]]:
        """The controllers that there still are."""
        return [controller for each in self._controllers if (controller := each()) is not None]

    @property
    def elections(self) -> list[LeaderElection]:
        """The elections that there still are."""
        return [election for each in self._elections if (election := each()) is not None]


class Shown:
    """Everything that is shown in one place, where the names of factories tell them apart.

    Args:
        place: What it is called in errors, such as ``this registry``.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._subjects: list[Subject] = []

    def add(self, subject: Subject) -> None:
        """Show something from now on.

        Raises:
            ValueError: If its factory is shown already, or another one of its name.
        """
        factory = subject.factory
        assert factory is not None, "who adds it holds it"
        for known in [each.factory for each in self._living()]:
            if known is factory:
                raise ValueError(f"{self._place} has the metrics of {factory.name} already: once is enough")
            if known is not None and known.name == factory.name:
                raise ValueError(
                    f"{self._place} has the metrics of another factory named {factory.name!r}, and they could not be "
                    f"told apart: give one of them a name="
                )
        self._subjects.append(subject)
        subject.observe()

    def remove(self, subject: Subject) -> None:
        """Show something no more; what is not shown is left alone."""
        subject.close()
        if subject in self._subjects:
            self._subjects.remove(subject)

    def _living(self) -> list[Subject]:
        """Return what has not ended; the rest is shown no more."""
        for subject in list(self._subjects):
            if (factory := subject.factory) is None or factory.is_closed:
                self.remove(subject)
        return list(self._subjects)

    def look(self) -> Snapshot:
        """Return what all of it is doing; may be called in any thread."""
        factories: list[SharedInformerFactory] = []
        controllers: dict[Controller[Any], None] = {}
        elections: dict[LeaderElection, None] = {}
        for subject in self._living():
            subject.observe()
            factory = subject.factory
            factories += [] if factory is None else [factory]
            controllers |= dict.fromkeys(subject.controllers)
            elections |= dict.fromkeys(subject.elections)
        return snapshot(factories, controllers, elections)
