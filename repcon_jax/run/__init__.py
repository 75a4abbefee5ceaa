"""A run from config to report: the shell around the pure functions."""
