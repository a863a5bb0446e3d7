"""Attacks of the inference family."""
