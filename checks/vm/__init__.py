"""A virtual machine with a kernel that enforces rules: ``make test-vm``."""
