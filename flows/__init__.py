"""When work happens: one file is one deployable Prefect flow."""
