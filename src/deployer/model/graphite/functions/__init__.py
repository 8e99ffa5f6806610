"""Graphite's functions, a family in each module; `table` has them all."""
