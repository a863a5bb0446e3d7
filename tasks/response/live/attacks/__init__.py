"""One file = one attack that a live-fire drill can launch; its name is the entry's."""
