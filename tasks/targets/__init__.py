"""One file is one kind of model that can be opened and queried."""
