"""Environments: which versions go together, making one, finding one. Standard library only."""
