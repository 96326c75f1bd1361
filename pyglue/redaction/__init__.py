"""Hides secrets: ``redactor`` in agents' output, ``response_mask`` in responses."""
