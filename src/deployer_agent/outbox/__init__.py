"""What waits for the master: bounded, in order, acknowledged."""
