"""What crosses our sockets, in types.

One module a role names its calls (``agent``, ``manager``, ``operator``, ``relay``), one
Method a call; types that several calls share are in modules by subject.
Servers bind a handler to a ``Method``, clients call it, and both sides get the
same frozen structs; docs/rpc.md is generated from here. Nothing in this package
does anything: it imports only msgspec and the error type.
"""
