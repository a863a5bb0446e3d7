"""What exists: checks, batteries, policies and mappings, as data."""
