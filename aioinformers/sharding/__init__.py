"""Objects divided among processes by hashes of their fields, as kube-apiserver divides them (KEP-5866).

``ranges`` is the hash, and what is said to the API server and comes back from it. ``shard`` is one part of a number of
equal ones, which stays the same: for StatefulSets and for what is started by hand. Both are pure.
"""

from __future__ import annotations

from aioinformers.sharding.ranges import Field, hash_field, parse_shard_selector, shard_selector
from aioinformers.sharding.shard import Shard

__all__ = ["Field", "Shard", "hash_field", "parse_shard_selector", "shard_selector"]
