"""Driftloop watches prediction streams on Kafka and retrains the models that drift.

The package's parts, low to high, import one way only (``[tool.importlinter]`` in
``pyproject.toml`` holds it): errors; messages and settings; statistics, records, models and
kafka; detection; policy; engine; monitor, trainer and scorer; demo and cli.
"""

from importlib.metadata import version as _version

__version__ = _version("driftloop")

__all__ = ["__version__"]
