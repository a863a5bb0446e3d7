"""Actions on: keys."""
