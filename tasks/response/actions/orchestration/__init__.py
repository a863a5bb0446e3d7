"""Actions on: orchestration."""
