"""Pure rules; time is an argument."""
