"""Questions of the extraction family."""
