"""The status page: what a snapshot and what was measured meanwhile look like in a browser."""

__all__: list[str] = []
