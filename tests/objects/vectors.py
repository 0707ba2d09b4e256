"""What apimachinery's own code says about hashes and selectors; ``tests/data/sharding/main.go`` writes it anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from aioinformers.objects.ranges import Field

_FILE = Path(__file__).resolve().parents[1] / "data" / "sharding" / "vectors.json"
_WRITTEN = json.loads(_FILE.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class ShardVector:
    """A shard as apimachinery sees it."""

    index: int
    of: int
    by: Field
    selector: str
    matches: frozenset[str] | None
    """The texts that it holds of those that any shard of its number and field holds; None if that was not asked."""


HASHES: dict[str, int] = {text: int(digits, 16) for text, digits in _WRITTEN["hashes"].items()}

SHARDS = [
    ShardVector(
        index=each["index"],
        of=each["of"],
        by=each["by"],
        selector=each["selector"],
        matches=frozenset(each.get("matches", ())) if each["of"] in (3, 8) else None,
    )
    for each in _WRITTEN["shards"]
]
