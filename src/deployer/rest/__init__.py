"""How people and programs reach us: one noun a module, one Klein."""
