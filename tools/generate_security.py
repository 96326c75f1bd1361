"""Fill the tables of docs/security.md: scores of the units, results of the fuzzing.

`make generate` runs this; `--check` (run by the tests) writes nothing and exits 1 when
the page differs. Scores are systemd's own, of the units that the host module renders;
results are those of the last recorded run: ``make fuzz ARGS='--json
checks/fuzz/results.json'`` writes them.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from checks.fuzz.kit import Verdict
from checks.fuzz.table import TARGETS
from checks.nix.host import record
from checks.nix.host.scores import GOALS, measure

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs/security.md"
RESULTS: Final = ROOT / "checks/fuzz/results.json"
CASES: Final = {"smallest": "on loopback", "everything": "on a network, port 443"}


def scores() -> str:
    """Return the table of the units' scores."""
    expected = record.read_expected()
    lines = [
        f"| unit | at most | {' | '.join(CASES.values())} |",
        f"|---|---|{'---|' * len(CASES)}",
    ]
    with tempfile.TemporaryDirectory() as name:
        for unit, goal in GOALS.items():
            made = [expected[case]["services"].get(unit) for case in CASES]
            found = [
                "not there" if one is None else f"{measure(unit, one, Path(name)):.1f}"
                for one in made
            ]
            lines.append(f"| {unit} | {goal:.1f} | {' | '.join(found)} |")
    return "\n".join(lines)


def results() -> str:
    """Return the table of the recorded run."""
    known = json.loads(RESULTS.read_text())
    lines = [
        f"| target | attacks | tried | {' | '.join(Verdict)} |",
        "|---|---|---|---|---|---|",
    ]
    for target in TARGETS:
        one = known[target.name]
        counts = " | ".join(f"{one[verdict]:,}" for verdict in Verdict)
        lines.append(
            f"| {target.name} | {target.attacks} | {one['tried']:,} | {counts} |"
        )
    return "\n".join(lines)


def render(page: str, *, checking: bool = False) -> str:
    """Return the page with its tables anew.

    Scores are made where systemd can be asked, and held against the page only by the
    systemd that made them: each version counts a little differently.
    """
    made = {"results": results()}
    version = _version()
    if version is not None and (version in page or not checking):
        made["scores"] = f"{scores()}\n\nMeasured by {version}."
    for name, table in made.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        before, found, rest = page.partition(begin)
        _, ended, after = rest.partition(end)
        assert found and ended, name
        page = f"{before}{begin}\n{table}\n{end}{after}"
    return page


def _version() -> str | None:
    """Return which systemd is installed, such as ``systemd 252``."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return None
    said = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    )
    return " ".join(said.stdout.split()[:2])


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` name it if it differs."""
    page = PAGE.read_text()
    text = render(page, checking=arguments == ["--check"])
    if text == page:
        return 0
    shown = PAGE.relative_to(ROOT)
    if arguments == ["--check"]:
        print(f"{shown} is out of date: run `make generate`.")
        return 1
    PAGE.write_text(text)
    print(f"wrote {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
