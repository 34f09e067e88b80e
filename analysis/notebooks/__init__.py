"""Notebooks with their outputs: a tour of the shipped results, an ablation from them, a mitigation of one's own."""
