"""Measures what aioinformers costs per object and per event: ``python -m benchmarks [OBJECTS [EVENTS]]``."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

ROUNDS = 5
CASES = {
    "one handler": ("1", "none"),
    "one handler that reads two fields of the model": ("1", "fields"),
    "100 handlers": ("100", "none"),
}


def run(objects: str, events: str, handlers: str, reads: str) -> dict[str, float]:
    """Measure once, with a server and a client process of their own."""
    command = [sys.executable, "-m", "benchmarks.server", objects, events]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        try:
            arguments = [sys.executable, "-m", "benchmarks.client", port, objects, events, handlers, reads]
            answer = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            server.kill()
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def main() -> None:
    """Print a table of medians."""
    objects, events = [*sys.argv[1:], "10000", "20000"][:2] if len(sys.argv) < 3 else sys.argv[1:3]
    print(f"{objects} Pods of about 5 KB, {events} updates, medians of {ROUNDS} rounds; CPU is user + system")
    print(f"{'':48} {'sync µs/object':>16} {'µs/event':>10} {'KiB/object':>11}")
    for name, (handlers, reads) in CASES.items():
        rounds = [run(objects, events, handlers, reads) for _ in range(ROUNDS)]
        medians = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        print(f"{name:48} {medians['sync_us']:16.1f} {medians['event_us']:10.1f} {medians['kib']:11.2f}", flush=True)


if __name__ == "__main__":
    main()
