"""What runs on this host because the master asked for it."""
