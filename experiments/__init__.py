"""Experiments on real and generated streams: one module a question, one command each."""
