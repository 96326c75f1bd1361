"""Hides secrets: ``redactor`` in what agents write, ``response_mask`` in responses."""
