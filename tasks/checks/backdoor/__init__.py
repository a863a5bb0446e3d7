"""Questions of the backdoor family."""
