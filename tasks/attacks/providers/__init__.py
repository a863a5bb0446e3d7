"""Attacks of other toolboxes, run on our targets and measured by our referee."""
