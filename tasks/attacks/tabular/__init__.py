"""Attacks on rows of tables: what a person could really send, and nothing else."""
