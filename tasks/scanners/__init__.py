"""One file is one format read byte by byte, with nothing executed."""
