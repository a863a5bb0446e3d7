"""Questions of the evasion family."""
