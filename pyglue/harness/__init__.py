"""The process in an agent's container: it runs Claude Code, turn by turn."""
