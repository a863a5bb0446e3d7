"""Scripts that run in environments of their own: one file is one peer, and imports none of us."""
