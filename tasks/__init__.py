"""How Proofhouse works: nouns, services, attacks, detectors, checks, judging, reports."""
