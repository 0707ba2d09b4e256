"""The command line: ``aioinformers demo``, ``watch`` and ``get``.

``app`` declares the commands; ``problems`` turns every error into one line and an exit code. ``watch`` and ``get`` are
``queries``, which stand on ``connect`` (kubeconfig → client), ``session`` (one informer, its failures told) and
``columns`` (objects → rows). ``demo`` joins ``cluster`` (what happens), ``board`` (what informers tell of it) and a
view: ``live`` or ``plain``.
"""

from aioinformers.cli.app import run

__all__ = ["run"]
