"""The scorer as a Bytewax dataflow.

``driftloop scorer`` runs it; so does ``python -m bytewax.run "flows.score:flow()"``, which takes
Bytewax's own options for recovery and clusters. Settings come from ``driftloop.toml``, or the file
that ``DRIFTLOOP_CONFIG`` names. Importing this module reads and connects to nothing.
"""

from __future__ import annotations

from driftloop.scorer.flow import build_flow, flow

__all__ = ["build_flow", "flow"]
