"""Actions on: suspected copies of a model."""
