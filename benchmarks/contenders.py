"""Who is measured: aioinformers in its object types, and informers and controllers of other languages and of Python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import build

__all__ = ["CONTENDERS", "CONTROLLERS", "READERS", "Contender"]


@dataclass(frozen=True)
class Contender:
    """One program and one of its variants.

    Attributes:
        name: Its name in results and budgets.
        family: The library that it uses.
        label: What reports call it.
        program: Returns the command, built first if need be.
        variant: What the program is told to measure.
        is_slow: It takes more than 200 µs for an object: measured in one workload only, and less often.
    """

    name: str
    family: str
    label: str
    program: Callable[[], list[str]]
    variant: str
    is_slow: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it is aioinformers."""
        return self.family == "aioinformers"

    def command(self) -> list[str]:
        """Return the command to run.

        Raises:
            PeerMissingError: If it cannot be built here.
        """
        return [*self.program(), "--variant", self.variant]


def python(module: str) -> Callable[[], list[str]]:
    """Return what runs a module of the benchmarks."""
    return lambda: [sys.executable, "-m", f"benchmarks.{module}"]


def built(name: str, *arguments: str) -> Callable[[], list[str]]:
    """Return what builds a program and runs it."""

    def command() -> list[str]:
        if name not in build.PROGRAMS:
            raise build.PeerMissingError(f"there is no program on {name}")
        program = build.PROGRAMS[name]()
        return [*(program if isinstance(program, list) else [str(program)]), *arguments]

    return command


def ours(name: str, label: str) -> Contender:
    return Contender(name, "aioinformers", label, python("client"), name)


def client_go(name: str, label: str, variant: str, *, is_slow: bool = False) -> Contender:
    return Contender(name, "client-go", label, built("go", "informer"), variant, is_slow)


def plain_python(name: str, label: str, module: str) -> Contender:
    return Contender(name, name, label, python(f"peers.python.{module}"), "typed", is_slow=True)


CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        ours("model", "aioinformers, `V1Pod` untouched"),
        ours("model-fields", "aioinformers, two fields of `V1Pod` read"),
        ours("struct", "aioinformers, two fields of a frozen Struct read"),
        ours("dict", "aioinformers `for_resource`, two fields of a dict read"),
        ours("metadata", "aioinformers, `Metadata`"),
        ours("compact", "aioinformers, `compact=True`, `V1Pod` untouched"),
        client_go("go-protobuf", "client-go, typed, protobuf", "typed-protobuf"),
        client_go("go-metadata", "client-go, metadata", "metadata"),
        client_go("go-json", "client-go, typed, JSON", "typed-json", is_slow=True),
        client_go("go-dynamic", "client-go, dynamic, two fields read", "dynamic-fields", is_slow=True),
        Contender("kube-rs", "kube-rs", "kube-rs, reflector of `Pod`", built("rust"), "typed"),
        Contender("fabric8", "fabric8", "fabric8, informer of `Pod`", built("java"), "typed", is_slow=True),
        plain_python("kubernetes_asyncio", "kubernetes_asyncio, `Watch` and a dict", "kubernetes_asyncio_watch"),
        plain_python("kubernetes", "official client, `SharedInformer`", "official_shared_informer"),
        plain_python("kr8s", "kr8s, `watch` and a dict", "kr8s_watch"),
        Contender("floor-lines", "floor", "bare read of lines, as aioinformers", python("floor"), "lines"),
        Contender("floor-aiohttp", "floor", "bare read with aiohttp", python("floor"), "aiohttp"),
        Contender("floor-socket", "floor", "bare read of a socket", python("floor"), "socket"),
    )
}


def reader(variant: str, label: str) -> Contender:
    return Contender("reads" if variant == "model" else f"reads-{variant}", "aioinformers", label, python("reads"),
                     variant)  # fmt: skip


READERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        reader("model", "default model"),
        reader("struct", "frozen Struct"),
        reader("shared", "`shared_objects=True`"),
        reader("dict", "dict"),
        reader("compact", "`compact=True`"),
        Contender("go-reads", "client-go", "client-go", built("go", "reads"), "typed-protobuf"),
    )
}
"""Programs that read what they have cached."""


def controllers(name: str, family: str, program: Callable[[], list[str]]) -> list[Contender]:
    return [
        Contender(name, family, f"{family}, a run does nothing", program, "idle"),
        Contender(f"{name}-fields", family, f"{family}, a run reads two fields of `Pod`", program, "fields"),
    ]


CONTROLLERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        *controllers("controller", "aioinformers", python("controllers")),
        *controllers("go-controller", "controller-runtime", built("go", "reconcile")),
        Contender("kopf", "kopf", "kopf, `on.event` does nothing", python("peers.python.kopf_events"), "idle",
                  is_slow=True),
    )
}  # fmt: skip
"""Programs that reconcile what they have cached."""
