"""One file is one attack; it runs in the sandbox and its results are measured again outside."""
