"""Detectors of the poisoning family."""
