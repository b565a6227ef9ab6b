"""Figures, drawn from the records of runs alone."""
