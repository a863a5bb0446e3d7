"""One file is one detector; it runs in the sandbox."""
