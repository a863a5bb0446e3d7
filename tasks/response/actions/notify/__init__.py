"""Actions on: notify."""
