"""``hive``: the operator's commands, and the local hive without NixOS."""
