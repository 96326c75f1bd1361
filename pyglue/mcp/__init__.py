"""``hive-mcp``: the tools of one agent's socket over stdio, for any other MCP client.

The harness offers the CLI the same tools through the same ``server``.

``main`` is the program, ``link`` its connection to hived, ``server`` answers the
client, ``stdio`` carries the lines, ``wire`` defines their form. It implements MCP
itself: libraries take a second to import, and some clients start without a slow
server's tools.
"""
