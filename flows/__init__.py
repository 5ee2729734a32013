"""Driftloop's dataflows, one a file; each also runs as ``python -m bytewax.run``."""
