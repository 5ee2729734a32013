"""Benchmarks: each figure is a ratio to a named baseline, both measured in one run."""
