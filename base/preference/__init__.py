"""Preference models."""
