"""Builds every part of the master, top to bottom, and starts and stops them in order."""
