"""The only reader of catalogs/: schemas, resolution and locking."""
