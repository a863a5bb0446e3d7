"""Questions of the poisoning family."""
