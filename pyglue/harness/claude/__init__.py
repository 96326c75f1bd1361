"""The Claude Code CLI: its options, sessions, turns and how they end."""
