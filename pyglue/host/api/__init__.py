"""What hived's sockets answer, one module a role."""
