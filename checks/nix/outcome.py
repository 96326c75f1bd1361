"""Evaluate agent directories and describe the results, for the corpus and its recorder.

`evaluate` runs modules/eval/report.nix with the built-in subset of lib or with
nixpkgs' own (`lib`, a path). A good directory gives its report; a bad one a kind of
error and the option that the message names. Texts are not compared: the two libs
word some errors differently, but both must fail alike and at the same option.
"""

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from checks.nix import snapshots

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
CASES: Final = HERE / "cases"
LITE: Final = ROOT / "modules/eval/lite.nix"
REPORT: Final = ROOT / "modules/eval/report.nix"
BASE: Final = "good-empty"
"""The case that the others are recorded as differences from."""
Outcome = dict[str, Any]

# First match wins. Messages are nix's, nixpkgs' and modules/eval's.
KINDS: Final = [
    ("undefined variable", r"^undefined variable"),
    ("syntax", r"^syntax error|already defined"),
    ("pkgs", r"^`pkgs' cannot be used"),
    ("config", r"^`config\.\S+' is not known here"),
    ("argument", r"asks for the argument"),
    ("refused", r"cannot: it would|outside the agent's dir|the hive's own"),
    ("module", r"does not look like|unsupported attribute|list inside|not a module"),
    ("lacking", r"is not in hyperhive's own subset"),
    ("unknown option", r"^The option `.*' does not exist"),
    ("type", r"^A definition for option|trying to define a value of type"),
    ("no value", r"was accessed but has no value defined"),
    ("conflict", r"has conflicting definition|both null and not null|defined multiple"),
    ("recursion", r"infinite recursion|stack overflow|call depth"),
    ("abort", r"evaluation aborted"),
    ("assert", r"^assertion"),
    ("missing attribute", r"^attribute '.*' missing"),
    ("missing argument", r"without required argument|unexpected argument"),
    ("missing file", r"No such file or directory|does not exist"),
    ("not this type", r"while .* was expected|cannot (coerce|be cast|call|compare)"),
    ("not this type", r"attempt to call something|expected a|is not a string"),
    ("division", r"division by zero"),
    ("regex", r"invalid regular expression"),
]
OPTION: Final = re.compile(
    r"[Tt]he option `([^`']+)[`']|A definition for option `([^']+)'"
)
PARENT: Final = re.compile(r"rather than an attribute set\s+for the option\s+`([^']+)'")


def evaluate(
    directory: Path, lib: Path | None = None, *, trace: bool = False
) -> Outcome:
    """Report of the agent in `directory`, or ``{"error": …}``; `lib`: nixpkgs' lib.

    With `trace` the option may also come from nix's trace, which takes three times
    as long.
    """
    return run(REPORT, ["--arg", "agent", str(directory)], lib, trace=trace)


def run(
    file: Path, arguments: list[str], lib: Path | None = None, *, trace: bool = False
) -> Outcome:
    """Evaluate `file` to JSON without a store, a network or search paths."""
    chosen = ["--arg", "lib", f"import {lib or LITE}"]
    done = subprocess.run(
        [
            *("nix-instantiate", "--eval", "--strict", "--json"),
            *("--store", "dummy://", "--log-format", "internal-json"),
            *(["--show-trace"] if trace else []),
            *(str(file), *arguments, *chosen),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NIX_PATH": ""},
    )
    if done.returncode == 0:
        outcome: Outcome = json.loads(done.stdout)
        return outcome
    return {"error": classify(done.stderr)}


def classify(log: str) -> dict[str, str | None]:
    """Name the kind of error and the innermost option that the log speaks of."""
    events = [json.loads(line[5:]) for line in log.splitlines() if line[:5] == "@nix "]
    event = next(e for e in events if "raw_msg" in e)
    message = plain(event["raw_msg"])
    kind = next((kind for kind, like in KINDS if re.search(like, message)), "throw")
    texts = [message, *(plain(step["raw_msg"]) for step in event.get("trace", []))]
    found = [OPTION.search(text) or PARENT.search(text) for text in texts]
    paths = [next(filter(None, match.groups())) for match in found if match]
    return {"kind": kind, "option": max(paths, key=len) if paths else None}


def plain(text: str) -> str:
    """Drop terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def evaluate_all(names: list[str], lib: Path | None = None) -> dict[str, Outcome]:
    """Evaluate cases by name: the good ones in one go, the others side by side."""
    good = [name for name in names if name.startswith("good")]
    paths = " ".join(f'"{name}"' for name in good)
    expression = f"""
      {{ lib }}:
      builtins.listToAttrs (map (name: {{
        inherit name;
        value = import {REPORT} {{ agent = "{CASES}/${{name}}"; inherit lib; }};
      }}) [ {paths} ])"""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        together = pool.submit(run, Path("--expr"), [expression], lib)
        bad = [name for name in names if name not in good]
        found = dict(
            zip(
                bad,
                pool.map(lambda name: evaluate(CASES / name, lib), bad),
                strict=True,
            )
        )
        if "error" not in together.result():
            return found | together.result()
        return found | {name: evaluate(CASES / name, lib) for name in good}


def read_expected(name: str) -> Outcome:
    """Read the recorded outcome of a case."""
    recorded = json.loads((CASES / name / "expected.json").read_text())
    if isinstance(recorded, list):
        return dict(snapshots.apply(read_expected(BASE), recorded))
    return dict(recorded)


def write_expected(name: str, found: Outcome) -> None:
    """Record the outcome of a case; that of ``BASE`` before all others."""
    if name == BASE or "error" in found:
        text = json.dumps(found, indent=2)
    else:
        text = snapshots.dump(snapshots.differences(read_expected(BASE), found))
    (CASES / name / "expected.json").write_text(f"{text}\n")


def case_names() -> list[str]:
    """Names of all cases, sorted."""
    return sorted(path.parent.name for path in CASES.glob("*/agent.nix"))
