"""The master, its clients, and what they share with the agent (`protocol`, `kit`)."""
