"""The only reader of catalogs/: schemas, entries, and specs resolved from them."""
