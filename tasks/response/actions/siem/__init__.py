"""Actions on: siem."""
