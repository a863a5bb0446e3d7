"""Attacks of the evasion family."""
