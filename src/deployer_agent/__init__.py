"""The agent: runs what the master asks for on one host, and keeps what came of it."""
