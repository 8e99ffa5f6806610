"""Processes of the operating system: launched, read, ended."""
