"""Supervised training, and the episodes it imitates."""
