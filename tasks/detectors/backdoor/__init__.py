"""Detectors of the backdoor family."""
