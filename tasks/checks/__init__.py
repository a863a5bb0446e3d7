"""One file is one question; its id is its path."""
