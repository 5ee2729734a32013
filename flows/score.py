"""The scorer: feature topics and version events in, predicted records out.

``driftloop scorer`` runs it; so does plain Bytewax::

    python -m bytewax.run "flows.score:build_flow()"

The steps are wired in `driftloop.scorer.flow`. Importing this module connects to nothing.
"""

from driftloop.scorer.flow import NAME, build_flow

__all__ = ["NAME", "build_flow"]
