"""What playbooks can do: one file is one action, named by its path."""
