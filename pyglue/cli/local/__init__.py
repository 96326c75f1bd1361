"""A hive on this machine without NixOS: ``hive run`` and ``hive demo``."""
