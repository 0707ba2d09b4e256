"""Programs to start from. Each runs as it is: ``python -m examples.quickstart``."""
