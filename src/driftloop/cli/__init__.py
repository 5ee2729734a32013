"""The ``driftloop`` command: one module a command group."""
