"""How hived's parts are constructed; only ``bootstrap`` calls these modules.

In the order of construction: ``base`` (used by everything else), ``work`` (running
agents and their messages), ``control`` (what blocks their turns), ``changes``
(proposals, approvals, the life of an agent), ``handlers`` (of operations), ``services``
(behind the sockets), ``sockets`` (the listeners and their sessions).
"""
