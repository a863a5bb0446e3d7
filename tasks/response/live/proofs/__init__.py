"""One file = one thing that must hold after containment, found out by trying."""
