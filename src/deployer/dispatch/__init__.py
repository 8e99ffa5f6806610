"""Commands go out, results come in."""
