"""The commands of ``hive``, one module per subject."""
