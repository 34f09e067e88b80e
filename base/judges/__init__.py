"""Judges: what reads the answers of a user's model, where no rule of execution decides.

A judge reads (eval, prompt, reasoning, output) by one criterion and says whether it is met, or nothing (missing, never
aligned). It must pass a golden set before its numbers are shown. The judges of a mitigation's recipe
(base.recipes.Judge) are something else: preference models whose scores pay in RL.
"""
