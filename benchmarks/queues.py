"""What a work queue costs that holds many keys: CPU per ``add``, get and done, and memory beside the key.

``python -m benchmarks.queues KEYS`` prints both. While the time is taken, the queue is always full: each key that is
done is added again, so that no key is in the processor's caches when its turn comes.
"""

from __future__ import annotations

import asyncio
import gc
import json
import platform
import sys
from typing import Any

from aioinformers import ObjectKey, __version__
from aioinformers.controllers import WorkQueue
from benchmarks.measure import cpu, memory


async def measure(keys: list[ObjectKey]) -> dict[str, Any]:
    """Fill a queue, and work on each key once."""
    queue: WorkQueue[ObjectKey] = WorkQueue()
    gc.collect()
    empty = memory()
    for key in keys:
        queue.add(key)
    gc.collect()
    held = memory() - empty
    begun = cpu()
    for key in keys:
        async with queue.item():
            pass
        queue.add(key)
    used = cpu() - begun
    assert len(queue) == len(keys)
    return {
        "version": f"aioinformers {__version__}, Python {platform.python_version()}",
        "cycle_us": 1e6 * used / len(keys), "key_bytes": held / len(keys),
    }  # fmt: skip


def main(count: int) -> None:
    """Measure, and print what was found."""
    keys = [ObjectKey(f"ns-{i % 50}", f"app-{i % 97}-{i:06}") for i in range(count)]
    print(json.dumps(asyncio.run(measure(keys))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
