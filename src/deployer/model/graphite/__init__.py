"""Graphite's way to ask for series: times, targets, patterns, functions (CONVENTIONS 3.2). Pure."""
