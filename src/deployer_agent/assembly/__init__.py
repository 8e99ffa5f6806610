"""Builds the agent out of its parts, and starts and stops them in order."""
