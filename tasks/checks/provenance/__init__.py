"""Questions of the provenance family."""
