"""Real servers for tests: started on loopback, stopped whatever happens."""
