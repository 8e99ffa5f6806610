"""Logs, whoever sent them: stored in batches, bounded, read and followed."""
