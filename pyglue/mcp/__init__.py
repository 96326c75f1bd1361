"""``hive-mcp``: the tools of one agent's socket over stdio, for any other MCP client.

The harness offers the CLI the same tools by the same ``server``.

``main`` is the program, ``link`` its connection to hived, ``server`` answers the
client, ``stdio`` carries the lines, ``wire`` says what they look like. It speaks MCP
itself: the libraries take a second to import, and some clients begin without its tools.
"""
