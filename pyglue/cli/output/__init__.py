"""How ``hive`` prints: tables, progress, questions."""
