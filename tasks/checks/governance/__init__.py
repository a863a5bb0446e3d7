"""Questions of the governance family."""
