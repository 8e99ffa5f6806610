"""The way to the master: identity, session, long poll and posts."""
