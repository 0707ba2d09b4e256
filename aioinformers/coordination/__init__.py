"""Which of several processes may act: leader election by a Lease, compatible with client-go's in both directions.

``lease`` is what a Lease says and what may be done by it at a moment, pure; ``requests`` reads, writes and watches it.
``tenure`` is one term: the blocks that it guards, and their end. ``campaign`` follows, acquires, renews and releases;
``watchdog`` finds, from a thread, what goes on beyond a term. ``election`` is what users hold. ``fence`` is how others
ask whether they may act, ``barrier`` lets a new leader wait for what its predecessor wrote.

Nothing of it is loaded by ``import aioinformers``.
"""

from __future__ import annotations

from aioinformers.coordination.election import LeaderElection
from aioinformers.coordination.fence import Fence, Token
from aioinformers.coordination.lease import LeaseClock
from aioinformers.coordination.tenure import Term
from aioinformers.statistics import ElectionState, ElectionStatistics

__all__ = ["ElectionState", "ElectionStatistics", "Fence", "LeaderElection", "LeaseClock", "Term", "Token"]
