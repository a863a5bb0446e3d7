"""Actions on: the model registry."""
