"""One file per change of the schema; released ones are never edited."""
