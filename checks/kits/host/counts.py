"""For tests of parts that count metrics which are not read."""


def uncounted(_agent: str, _key: str) -> None:
    """Count nothing."""


def unsaid() -> None:
    """Tell nobody that notifications changed."""
