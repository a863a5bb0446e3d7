"""From a vendor's folder to a quarantined, described and decoded bundle."""
