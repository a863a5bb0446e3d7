"""One file = one trigger of playbooks: how the product notices, and the incident it becomes."""
