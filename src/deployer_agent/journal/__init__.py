"""What was accepted, started, finished, sent: durable before it is told to anyone."""
