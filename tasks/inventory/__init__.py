"""Assets, runs, findings and verdicts in SQL."""
