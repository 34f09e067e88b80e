"""Environments: tasks and the graders that pay for them."""
