"""What processes said, kept on this host: written in batches, bounded, found again (seed 001)."""
