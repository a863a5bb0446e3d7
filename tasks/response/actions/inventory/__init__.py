"""Actions on: inventory."""
