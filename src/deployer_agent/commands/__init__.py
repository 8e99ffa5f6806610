"""What this agent can be asked to do, and the tasks that ask for it."""
