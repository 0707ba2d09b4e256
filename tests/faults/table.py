"""The table of faults."""

from __future__ import annotations

from tests.faults import answers, clients, lists, outages, streams

__all__ = ["CASES", "SECTIONS"]

SECTIONS = {
    "Answers": answers.CASES,
    "Lists": lists.CASES,
    "Watches": streams.CASES,
    "Networks and servers": outages.CASES,
    "Clients and handlers": clients.CASES,
}

CASES = [case for cases in SECTIONS.values() for case in cases]
