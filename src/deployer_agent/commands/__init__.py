"""What this agent can be asked for, and how a task goes from its arrival to its acknowledged result."""
