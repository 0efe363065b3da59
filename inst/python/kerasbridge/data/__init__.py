"""Data sources, schemas and pipelines."""
