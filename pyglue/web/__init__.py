"""The dashboard: the only package that uses Flask; it has no state."""
