"""Events from outside: authenticated, read, and turned into Prefect events once each."""
