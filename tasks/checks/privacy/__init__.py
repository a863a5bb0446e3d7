"""Questions of the privacy family."""
