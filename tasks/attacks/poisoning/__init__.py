"""Attacks of the poisoning family."""
