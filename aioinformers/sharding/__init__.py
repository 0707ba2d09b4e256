"""Objects divided among processes by hashes of their fields, as kube-apiserver divides them (KEP-5866).

:class:`Shard` is one part of a number of equal ones, which stays the same: for StatefulSets and for what is started by
hand. It is given to a factory, ``SharedInformerFactory(api, shard=Shard(2, of=8))``, or to one informer. The functions
are the hash, and what is said to the API server and comes back from it. All of it is defined in ``objects``, so that
informers need not load this package.
"""

from __future__ import annotations

from aioinformers.objects.ranges import Field, hash_field, parse_shard_selector, shard_selector
from aioinformers.objects.shard import Shard

__all__ = ["Field", "Shard", "hash_field", "parse_shard_selector", "shard_selector"]
