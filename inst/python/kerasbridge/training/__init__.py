"""The fit, evaluate and predict engine."""
