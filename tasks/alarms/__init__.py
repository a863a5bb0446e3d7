"""Alarms of monitors: kept once each, handed on until answered, answered by playbooks."""
