"""Defences, put in front of a model or trained into a copy of it, to be attacked in their turn."""
