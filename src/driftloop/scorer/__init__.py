"""The scorer: predicts with each stream's current model and follows its version events."""
