"""What runs on the worker where a check lands."""
