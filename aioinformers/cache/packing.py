"""Which objects of a compact informer are packed, and when: after others have had their turn. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aioinformers.cache.indexer import Partition
from aioinformers.objects.compact import Packer
from aioinformers.objects.deltas import Delta
from aioinformers.objects.layout import Entry

__all__ = ["Packing"]


class Packing:
    """Batches that have been applied or staged, but not packed yet.

    Attributes:
        packer: What packs them.
        waiting: The batches, each with the partition that it went into.
    """

    def __init__(self, packer: Packer) -> None:
        self.packer: Packer = packer
        self.waiting: list[tuple[Partition, Iterable[Delta]]] = []

    def steps(self, has_backlog: bool) -> Iterator[None]:
        """Pack what waits, a step per object; what is left when nobody goes on stays as it is.

        A version that has been replaced already is packed only if a backlog may still hold it, by the same entry.
        """
        batches, self.waiting = self.waiting, []
        packer = self.packer
        for partition, deltas in batches:
            objects = partition.objects
            packer.population = len(objects)
            for _, key, entry in deltas:
                if type(entry) is Entry and type(entry.body) is bytes and (has_backlog or objects.get(key) is entry):
                    entry.body = packer.pack(entry.body)
                    yield

    def renewal(self, partitions: Iterable[Partition]) -> Iterator[None]:
        """Pack anew what still needs an old dictionary, so that it can go, a step per object."""
        packer = self.packer
        packer.is_crowded = False
        for partition in partitions:
            for entry in list(partition.objects.values()):
                if packer.is_outdated(entry.body):
                    entry.body = packer.repack(entry.body)
                yield
