"""Every live asset, every night: what changed, and why."""
