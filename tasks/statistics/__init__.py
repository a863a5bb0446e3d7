"""Intervals, tests and power: numbers a verdict can stand on."""
