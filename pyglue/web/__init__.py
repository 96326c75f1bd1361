"""The dashboard: the only Flask, no state of its own."""
