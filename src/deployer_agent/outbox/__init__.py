"""What waits for the master."""
