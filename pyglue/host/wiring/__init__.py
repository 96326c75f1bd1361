"""How hived's parts are put together, a module a room; only ``bootstrap`` calls these.

In the order of construction: ``base`` (what all else stands on), ``work`` (agents that
run, and their mail), ``changes`` (proposals, approvals, the life of an agent),
``machines`` (who runs which operation), ``services`` (what the sockets answer from).
"""
