"""What was accepted, started, finished and sent, kept through every crash."""
