"""The types of everything that crosses our sockets.

One module per role declares its calls (``agent``, ``manager``, ``operator``,
``relay``), one ``Method`` per call; types that several calls share are in modules by
subject. Servers bind a handler to a ``Method``, clients call it, and both sides get the
same frozen structs; docs/rpc.md is generated from here. This package contains no
behaviour: it imports only msgspec and the error type.
"""
