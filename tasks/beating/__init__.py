"""Signs of life of flow runs: who stops giving them is marked as crashed, and can be run again."""
