"""Models that agents may use: those of the ``catalogue``, and ``configured`` ones."""
