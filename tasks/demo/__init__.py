"""Two vendors made from real handwriting: one honest, one compromised."""
