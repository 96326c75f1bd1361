"""What crosses our sockets, in types: one module a role, one Method a call.

Servers bind a handler to a ``Method``, clients call it, and both sides get the
same frozen structs; docs/rpc.md is generated from here. Nothing in this package
does anything: it imports only msgspec and the error type.
"""
