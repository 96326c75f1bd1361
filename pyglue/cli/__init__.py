"""``hive``: what the operator types, and the local hive without NixOS."""
