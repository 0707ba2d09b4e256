"""What shows a running program to others: metrics, probes, a status page. Nothing of it is loaded by the package."""

__all__: list[str] = []
