"""How programs beside a test reach a server: the text of a kubeconfig."""

from __future__ import annotations

import json

__all__ = ["kubeconfig"]


def kubeconfig(url: str, *, token: str | None = None, ca_file: str | None = None) -> str:
    """Return a kubeconfig with one context; JSON is YAML, too.

    Args:
        url: The server.
        token: The user's; None for nobody in particular.
        ca_file: The certificate that proves the server.
    """
    cluster = {"server": url} | ({"certificate-authority": ca_file} if ca_file else {})
    return json.dumps(
        {
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "it", "user": {"token": token} if token else {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
    )  # fmt: skip
