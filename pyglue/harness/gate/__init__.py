"""The Bash gate: which commands an agent's policy lets through."""
