"""Output of ``hive``: tables, progress, questions."""
