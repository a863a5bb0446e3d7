"""Questions of the artifact family."""
