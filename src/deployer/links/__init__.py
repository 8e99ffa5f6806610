"""How agents reach us."""
