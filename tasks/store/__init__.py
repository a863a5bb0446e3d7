"""Object storage addressed by digest, write-once, on a local folder or S3."""
