"""Figures, claims and the report, drawn from the long table of results. Never trains; loads without torch."""
