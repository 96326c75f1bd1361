"""Tests on a real systemd host; ``python -m checks.systemd`` opens a shell in one."""
