"""The way to the master."""
