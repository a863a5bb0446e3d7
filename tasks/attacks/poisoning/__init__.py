"""Poison for training data: one file is one way to make it, seeded."""
