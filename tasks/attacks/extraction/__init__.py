"""Attacks of the extraction family."""
