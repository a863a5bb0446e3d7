"""Drift: one file is one detector; what they look at is a mergeable sketch of a table."""
