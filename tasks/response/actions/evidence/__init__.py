"""Actions on: evidence."""
