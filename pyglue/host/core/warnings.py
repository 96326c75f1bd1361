"""Warnings shown to the operator until hived restarts, by ``watch.views``."""


class Warnings:
    """Collects warnings, in order."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """Show a warning until hived restarts."""
        self._texts.append(text)

    def texts(self) -> tuple[str, ...]:
        """Return every warning so far."""
        return tuple(self._texts)
