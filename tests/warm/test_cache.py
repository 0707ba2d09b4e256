"""What users say of warm starts is checked when they say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioinformers import GroupVersionResource, WarmCache
from aioinformers.warm import cache
from aioinformers.warm.cache import refuse_secrets


@pytest.mark.parametrize(
    ("path", "options", "error", "text"),
    [
        (None, {}, TypeError, "is given the path of a folder"),
        ("", {}, TypeError, "is given the path of a folder"),
        (b"/x", {}, TypeError, "is given the path of a folder"),
        ("/x", {"max_age": "1"}, TypeError, "max_age"),
        ("/x", {"max_age": 0}, ValueError, "max_age must be positive"),
        ("/x", {"serve_stale": 1}, TypeError, "serve_stale is True or False"),
        ("/x", {"allow_secrets": None}, TypeError, "allow_secrets is True or False"),
    ],
)
def test_what_cannot_be_is_refused(path: Any, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        WarmCache(path, **options)


def test_network_file_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "network_file_system", lambda _path: "nfs4")
    with pytest.raises(ValueError, match="network file system"):
        WarmCache("/mnt/share")


def test_systems_without_locks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ImportError, match="fcntl"):
        WarmCache("/x")


def test_it_says_where_it_is(tmp_path: Path) -> None:
    assert repr(WarmCache(tmp_path)) == f"WarmCache({str(tmp_path)!r})"
    assert not list(tmp_path.iterdir())


def test_only_secrets_of_the_core_group_are_secrets(tmp_path: Path) -> None:
    refuse_secrets(WarmCache(tmp_path), GroupVersionResource("example.com", "v1", "secrets"))
    refuse_secrets(WarmCache(tmp_path, allow_secrets=True), GroupVersionResource("", "v1", "secrets"))
    with pytest.raises(ValueError, match="allow_secrets=True"):
        refuse_secrets(WarmCache(tmp_path), GroupVersionResource("", "v1", "secrets"))
