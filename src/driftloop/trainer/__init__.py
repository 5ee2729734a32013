"""The trainer: retrain requests in, model versions out. The only part that imports torch."""
