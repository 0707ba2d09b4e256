"""The command line: ``aioinformers demo``, ``watch`` and ``get``.

``app`` declares the commands; ``problems`` turns every error into one line and an exit code; ``terminal`` prints.
``queries`` runs ``watch`` and ``get`` with ``connect`` (kubeconfig → client), ``session`` (one informer, whose failures
are reported) and ``columns`` (objects → rows). ``demo`` combines ``cluster`` (the changes), ``board`` (what the
informers report) and a view: ``live`` or ``plain``.
"""

from aioinformers.cli.app import run

__all__ = ["run"]
