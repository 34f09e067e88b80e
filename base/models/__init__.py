"""Policies: loading, saving, sampling, log-probabilities."""
