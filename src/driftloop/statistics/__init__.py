"""Pure statistics in numpy and scipy: losses, tests, error control, the online correction."""
