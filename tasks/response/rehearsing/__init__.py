"""Drills that are held from the orchestrator: sessions in the store, questions as typed forms."""
