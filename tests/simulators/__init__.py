"""Small stand-ins that behave: an in-memory store, a sandbox without walls."""
