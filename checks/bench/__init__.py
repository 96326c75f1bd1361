"""Benchmarks, each beside a reference measured in the same run.

``python -m checks.bench [--json] [NAME …]``, which ``make bench`` runs. One module a
benchmark; ``measure`` holds what they share, ``report`` prints. Limits are shown, they
fail nothing: how fast a machine is right now is no test.
"""
