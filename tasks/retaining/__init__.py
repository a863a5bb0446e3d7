"""What is kept and what is not: evidence for ever, leftovers for a while."""
