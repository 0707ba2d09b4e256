"""Metrics for OpenTelemetry, read when it collects. Needs the extra ``otel``.

The names are made so that what an exporter for Prometheus makes of them is what
:mod:`aioinformers.integrations.prometheus` has, histograms excepted: the same alerts hold for both.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Final, TypeAlias

try:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation, get_meter_provider
except ImportError as _missing:
    raise ImportError("metrics need opentelemetry-api: pip install 'aioinformers[otel]'") from _missing

from aioinformers.controllers.controller import Controller
from aioinformers.coordination.election import LeaderElection
from aioinformers.factory import SharedInformerFactory
from aioinformers.integrations.families import FAMILIES, Family, families
from aioinformers.integrations.shown import Shown, Subject
from aioinformers.statistics import Durations
from aioinformers.version import __version__

__all__ = ["InformerInstruments", "instrument_of"]

SCOPE: Final = "aioinformers"
"""The name of the meter."""

NAMESPACES: Final = ("aioinformers", "controller_runtime", "informer", "leader_election", "rest_client", "workqueue")
"""What the names begin with: a dot stands behind it."""

UNITS: Final = {"seconds": "s", "bytes": "By"}
"""Units of UCUM for the last words of names."""

COUNTED: Final = (
    "attempts", "events", "items", "keys", "lists", "objects", "reconciles", "relists",
    "requests", "workers",
)  # fmt: skip
"""Last words of names that say what is counted: annotations in the place of a unit."""

ROUND: Final = 1.0
"""Seconds for which what was seen may still be told: a collection that broke off leaves some of it behind."""


class InformerInstruments:
    """Gives OpenTelemetry the metrics of a factory, its controllers and elections, whenever it collects.

    As long as there are some, latencies of handlers are measured, for a fraction of a microsecond per event, and the
    lag of the loop, by a timer each second; everything else is read when it is asked for. No attribute names an object.
    What was given is not kept alive: a factory that is gone has no metrics any more.

    Args:
        factory: The factory.
        controllers: Controllers.
        elections: Candidates for leadership.
        meter_provider: Who collects; by default the one of the process, also if that is set only later.

    Raises:
        ValueError: If the provider has the metrics of this factory already, or of another one of its name.
    """

    def __init__(
        self,
        factory: SharedInformerFactory,
        *,
        controllers: Iterable[Controller[Any]] = (),
        elections: Iterable[LeaderElection] = (),
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._subject = Subject(factory, controllers, elections)
        self._shown = _shown_by(meter_provider)
        self._shown.add(self._subject)

    def close(self) -> None:
        """Tell nothing any more. Idempotent. The instruments stay: OpenTelemetry has no way to take them back."""
        self._shown.remove(self._subject)


def instrument_of(name: str) -> tuple[str, str]:
    """Return the name and the unit of the instrument for a metric with a name of Prometheus'.

    Unit and ``_total`` are no part of it: exporters for Prometheus add them. Words behind the namespace are one name,
    with underscores, as no name of OpenTelemetry's may be the namespace of another one.

    Args:
        name: Such as ``aioinformers_store_bytes``, whose instrument is ``aioinformers.store`` in ``By``.
    """
    stem = name.removesuffix("_total")
    namespace = next(each for each in NAMESPACES if stem.startswith(f"{each}_"))
    rest, last = stem.removeprefix(f"{namespace}_"), stem.rpartition("_")[2]
    if (unit := UNITS.get(last)) is not None:
        return f"{namespace}.{rest.removesuffix(f'_{last}')}", unit
    return f"{namespace}.{rest}", f"{{{last.removesuffix('s')}}}" if last in COUNTED else ""


_Samples: TypeAlias = dict[str, list[Observation]]


class _Told(Shown):
    """What one provider is told: each instrument exists once there, and tells of all factories."""

    def __init__(self, meter: Meter) -> None:
        super().__init__("this meter provider")
        self._lock = threading.Lock()
        self._left: _Samples = {}
        self._seen_at = 0.0
        for family in FAMILIES:
            self._make(meter, family)

    def _make(self, meter: Meter, family: Family) -> None:
        name, unit = instrument_of(family.name)
        match family.kind:
            case "histogram":
                count, total = f"{name}.count", f"{name}.sum"
                meter.create_observable_counter(count, [self._teller(count)], "", f"{family.help} How many.")
                meter.create_observable_counter(total, [self._teller(total)], unit, f"{family.help} All in all.")
            case "counter":
                meter.create_observable_counter(name, [self._teller(name)], unit, family.help)
            case _:
                meter.create_observable_gauge(name, [self._teller(name)], unit, family.help)

    def _teller(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: self._tell(name)

    def _tell(self, name: str) -> list[Observation]:
        """Return an instrument's values.

        OpenTelemetry asks one instrument after the other, and tells nobody where a collection begins. Each is asked
        once in it: who is asked again begins the next one, which looks anew.
        """
        with self._lock:
            now = monotonic()
            if name not in self._left or now - self._seen_at > ROUND:
                self._left, self._seen_at = self._observed(), now
            return self._left.pop(name)

    def _observed(self) -> _Samples:
        """Look once, and return the values of every instrument, also of those that have none."""
        found = {family.name: family for family in families(self.look())}
        samples: _Samples = {}
        for known in FAMILIES:
            name = instrument_of(known.name)[0]
            if known.kind == "histogram":
                samples |= {f"{name}.count": [], f"{name}.sum": []}
            else:
                samples[name] = []
            if (family := found.get(known.name)) is None:
                continue
            for labels, value in family.samples.items():
                attributes = dict(zip(family.labels, labels, strict=True))
                if isinstance(value, Durations):
                    samples[f"{name}.count"].append(Observation(sum(value.counts), attributes))
                    samples[f"{name}.sum"].append(Observation(value.total, attributes))
                else:
                    samples[name].append(Observation(value + 0, attributes))  # True is 1
        return samples


_told: Final[weakref.WeakKeyDictionary[MeterProvider, _Told]] = weakref.WeakKeyDictionary()
_told_by_default: list[_Told] = []
"""That of the process' provider, which may be set after it has been asked for."""


def _shown_by(provider: MeterProvider | None) -> _Told:
    """Return what a provider is told: to make its instruments twice would make some that are never asked."""
    of_process = get_meter_provider()
    if provider is None or provider is of_process:
        if not _told_by_default:
            _told_by_default.append(_told.get(of_process) or _told_by(of_process))
        return _told_by_default[0]
    if (told := _told.get(provider)) is None:
        told = _told[provider] = _told_by(provider)
    return told


def _told_by(provider: MeterProvider) -> _Told:
    return _Told(provider.get_meter(SCOPE, __version__))
