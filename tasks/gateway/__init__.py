"""The canary gateway: keys, limits, filters and telemetry in front of an accepted model."""
