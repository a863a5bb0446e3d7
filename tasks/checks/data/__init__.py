"""Questions of the data family."""
