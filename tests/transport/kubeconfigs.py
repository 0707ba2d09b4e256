"""Kubeconfigs and exec plug-ins that tests write."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["encoded", "kubeconfig", "plugin_printing", "replace"]

V1 = "client.authentication.k8s.io/v1"


def kubeconfig(path: Path, server: str, user: Mapping[str, Any] | None = None, **cluster: Any) -> Path:
    """Write a kubeconfig with one context; names of what is said about its cluster have ``_`` for ``-``."""
    more = {name.replace("_", "-"): value for name, value in cluster.items()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": "shop"}}],
        "clusters": [{"name": "it", "cluster": {"server": server, **more}}],
        "users": [{"name": "it", "user": user or {}}],
    }
    replace(path, json.dumps(content))
    return path


def replace(path: Path, text: str) -> None:
    """Write a file as everybody should: it is the old one or the new one, never half of it."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    os.replace(beside, path)


def encoded(text: str) -> str:
    """Return the base64 of a text."""
    return base64.b64encode(text.encode()).decode()


def plugin_printing(status: Path, log: Path, *, before: str = "") -> dict[str, Any]:
    """Return the section of an exec plug-in that prints a file as its status, and writes a line per run."""
    script = f"""
import json, time
with open({str(log)!r}, "a") as log:
    log.write("run\\n")
{before}
print(json.dumps({{"apiVersion": {V1!r}, "kind": "ExecCredential", "status": json.load(open({str(status)!r}))}}))
"""
    return {"exec": {"apiVersion": V1, "command": sys.executable, "args": ["-c", script]}}
