"""The methods of hived's sockets, one module per role."""
