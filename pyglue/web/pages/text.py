"""Agent-written text, made safe to display.

``display.named`` is the only encoder of the dashboard: it is the template environment's
``finalize``, so every ``{{ value }}`` passes it before HTML escaping. Characters that
are invisible or reorder others (``invisible``) are shown as names such as U+202E in
brackets; nothing is dropped, so operators read exactly what they approve. ``clip`` says
how much it omitted.
"""

from markupsafe import Markup

from pyglue.text.display import named


def finalize(value: object) -> object:
    """Jinja's last step before escaping: our markup passes, text is made visible."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    return named(str(value))


def clip(
    text: str | None, limit: int, left_out: int = 0, *, lines: int | None = None
) -> str:
    """Return at most ``limit`` characters and ``lines``, then how many were left out.

    ``left_out`` more were left out before.
    """
    shown, more = cut(text or "", limit, left_out, lines=lines)
    return f"{shown} … ({more:,} more characters)" if more else shown


def cut(
    text: str, limit: int | None, left_out: int = 0, *, lines: int | None = None
) -> tuple[str, int]:
    """Return at most ``limit`` characters and ``lines``, and how many are left out."""
    shown = _lines(text[:limit], lines)
    return shown, left_out + len(text) - len(shown)


def is_clipped(text: str | None, limit: int, *, lines: int | None = None) -> bool:
    """Return whether ``clip`` would cut ``text``."""
    text = text or ""
    return len(_lines(text[:limit], lines)) < len(text)


def _lines(text: str, most: int | None) -> str:
    return text if most is None else "\n".join(text.split("\n", most)[:most])
