"""Makes up random histories, faults and consumers for as long as asked, and stops at the first broken guarantee.

``python -m tools.soak --seconds 3600`` runs ``tests/test_state_machine.py`` with ever new scripts. A failure is
shrunk, printed as a script, and kept in ``.hypothesis``: the next run begins with it.
"""

from __future__ import annotations

import argparse
import itertools
import time

from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import run_state_machine_as_test

from tests.test_state_machine import STEPS, ClusterMachine, profile, quiet

EXAMPLES = 50
"""Scripts between two looks at the clock."""


def main() -> None:
    """Run scripts until the time is up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to go on")
    seconds = parser.parse_args().seconds
    options = profile(EXAMPLES, database=DirectoryBasedExampleDatabase(".hypothesis/examples"))
    began = time.monotonic()
    until, first = began + seconds, next(STEPS)
    for scripts in itertools.count(EXAMPLES, EXAMPLES):
        with quiet():
            run_state_machine_as_test(ClusterMachine, settings=options)
        now, steps = time.monotonic(), next(STEPS) - first
        print(
            f"{now - began:6.0f} s: {scripts} scripts, {steps} steps, {steps / (now - began):.0f} a second", flush=True
        )
        if now >= until:
            return


if __name__ == "__main__":
    main()
