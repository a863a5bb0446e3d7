"""The only code that opens untrusted bytes as objects."""
