"""Actions on: vendors."""
