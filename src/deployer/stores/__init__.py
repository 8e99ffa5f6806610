"""Where state lives: Redis and its scripts."""
