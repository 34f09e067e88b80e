"""Graders: answers, gameable harnesses, the truth, labels."""
