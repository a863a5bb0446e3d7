"""Append-only Merkle log, signed envelopes and offline verification."""
