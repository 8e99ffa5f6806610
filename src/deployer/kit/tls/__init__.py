"""TLS as we serve it: a CA of our own, certificates that renew themselves, and contexts with nothing weak in them."""
