"""The sandbox's parts one by one; the hostile files are in ``tests/faults``."""
