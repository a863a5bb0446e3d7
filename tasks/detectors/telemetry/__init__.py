"""Detectors over what is asked of a model."""
