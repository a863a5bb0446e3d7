"""One file is one command: from arguments to an answer that the command line prints."""
