"""Gates, policies and risk tiers: the only code that judges."""
