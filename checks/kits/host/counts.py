"""For tests of parts that count metrics, where nobody reads these."""


def uncounted(_agent: str, _key: str) -> None:
    """Count nothing."""


def unsaid() -> None:
    """Tell nobody that notifications changed."""
