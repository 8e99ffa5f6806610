"""The Python client: synchronous, standard library only."""
