"""Benchmarks: what an event and a cached object cost, measured in processes of their own."""
