"""Results as a table for people and as JSON for programs."""

import json
from collections.abc import Sequence

from checks.bench.measure import Figure

_TITLES = ("benchmark", "median", "p99", "reference", "ratio", "limit", "within")


def as_json(figures: Sequence[Figure]) -> str:
    """Return one JSON object with all figures."""
    return json.dumps({"benchmarks": [_entry(figure) for figure in figures]})


def _entry(figure: Figure) -> dict[str, object]:
    return {
        "name": figure.name,
        "median": round(figure.median, 3),
        "p99": round(figure.p99, 3),
        "unit": figure.unit,
        "reference": round(figure.reference, 3),
        "ratio": round(figure.ratio, 3),
        "samples": len(figure.samples),
    }


def as_table(figures: Sequence[Figure]) -> str:
    """Return the figures in aligned columns, with what each reference consists of."""
    rows = [_TITLES, *map(_row, figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]))
    lines.append("")
    for figure in figures:
        parts = " + ".join(f"{name} {ms:.2f}" for name, ms in figure.parts.items())
        taken = f"{len(figure.samples)} samples beside {parts} {figure.unit}"
        lines.append(f"{figure.name}: {taken}")
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{figure.median:.2f} {figure.unit}",
        f"{figure.p99:.2f} {figure.unit}",
        f"{figure.reference:.2f} {figure.unit}",
        f"{figure.ratio:.2f}",
        f"{figure.limit:g}",
        "yes" if figure.ratio <= figure.limit else "no",
    )
