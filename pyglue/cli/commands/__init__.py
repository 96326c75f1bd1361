"""The commands of ``hive``, a module a subject."""
