"""How hived's parts are constructed; only ``bootstrap`` calls these modules.

In the order of construction: ``base`` (what everything else uses), ``work`` (running
agents and their messages), ``control`` (what blocks their turns), ``changes``
(proposals, approvals, the life of an agent), ``handlers`` (who runs which operation),
``services`` (what the sockets answer from), ``sockets`` (the listeners and their
sessions).
"""
