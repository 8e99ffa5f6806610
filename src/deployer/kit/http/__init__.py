"""A twisted.web Site that holds its own against slow, oversized and malformed requests."""
