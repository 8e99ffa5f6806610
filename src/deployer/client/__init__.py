"""The Python clients: synchronous (standard library only), asynchronous on treq, and through Redis."""
