"""Actions on: the gateway in front of models."""
