"""What hosts and processes consume: read, summed, aggregated."""
