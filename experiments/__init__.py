"""Experiments: one module a question, one command each, seeded, results committed."""
