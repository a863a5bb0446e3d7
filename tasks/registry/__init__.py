"""The model registry: signed models, aliases, and the log of who moved what where and why."""
