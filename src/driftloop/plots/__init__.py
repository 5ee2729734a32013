"""Plots as SVG text without any dependency: scales with their ticks, and the elements of a plot."""
