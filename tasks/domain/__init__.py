"""Nouns: frozen types without input, output or torch."""
