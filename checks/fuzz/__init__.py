"""Attacks on a real hive, counted: ``make fuzz``.

Each target attacks one boundary. Its cases are refused, harmless, or wrong; wrong must
be 0. ``table`` lists the targets, ``kit`` is what they share, ``test_targets`` runs a
quick part of each in ``make test``.
"""
