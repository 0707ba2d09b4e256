"""What type checkers are to find. Nothing here is run: ``mypy --strict`` and ``pyright`` check it."""
