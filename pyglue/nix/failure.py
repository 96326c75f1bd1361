"""The environment of an evaluation, and the errors of failed ones.

Shared by ``evaluator`` (manifests) and ``system`` (NixOS systems): the flags that
restrict Nix, the path of its program, and errors as sentences.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix.log import EvalError, Problem, Roots, read_problems
from pyglue.process import Completed

RESTRICTED: Final = (
    *("--log-format", "internal-json", "--restrict-eval"),
    *("--option", "allowed-uris", ""),
    *("--option", "allow-import-from-derivation", "false"),
    *("--option", "allow-unsafe-native-code-during-evaluation", "false"),
    *("--option", "experimental-features", ""),
)
_PROGRAM: Final = "nix-instantiate"
_PLACES: Final = "/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin"
# Signals as the sandbox reports them, and as a direct child does.
_KILLED: Final = frozenset({-6, -9, -11, -24, -25, 134, 137, 139, 152, 153})
_EXHAUSTED: Final = ("out of memory", "bad_alloc", "stack overflow", "heap sections")


@dataclass(frozen=True)
class Limits:
    """The limits of an evaluation of ``subject``: seconds, bytes of memory."""

    subject: str
    timeout: float
    memory: int

    def too_long(self) -> EvalError:
        """Return the error of an evaluation that took too long."""
        return EvalError(
            ErrorCode.EVAL_LIMIT,
            f"Evaluating {self.subject} took more than {self.timeout:g} s and was "
            "stopped. Remove expensive computations.",
        )

    def failed(self, problems: tuple[Problem, ...] | list[Problem]) -> EvalError:
        """Return the error of an evaluation that failed."""
        text = "\n".join(map(str, problems))
        return EvalError(
            ErrorCode.EVAL_FAILED,
            f"Cannot evaluate {self.subject}. {text}",
            problems,
        )

    def explain(self, done: Completed, roots: Roots) -> EvalError:
        """Return the error of an evaluation that ended with an exit code."""
        problems = read_problems(done.stderr, roots)
        if done.code in (-9, -24, 137, 152) and done.seconds >= self.timeout * 0.9:
            return self.too_long()
        errors = (
            problems[0].message if problems else done.stderr.decode("utf-8", "replace")
        )
        if done.code in _KILLED or any(word in errors.lower() for word in _EXHAUSTED):
            return EvalError(
                ErrorCode.EVAL_LIMIT,
                f"Evaluating {self.subject} took more than {self.memory // 2**20} "
                "MiB of memory or was nested too deeply, and was stopped. Remove "
                "whatever grows without end.",
                problems,
            )
        if not problems:
            reason = f"Nix failed with exit code {done.code} and gave no reason"
            problems = (Problem(file=None, line=None, column=None, message=reason),)
        return self.failed(problems)


def program() -> Path:
    """Find nix-instantiate, by the path of the program itself.

    Raises:
        HiveError: ``missing_program`` with what to install.
    """
    found = shutil.which(_PROGRAM, path=f"{os.environ.get('PATH', '')}:{_PLACES}")
    if found is None:
        raise HiveError(
            ErrorCode.MISSING_PROGRAM,
            "nix-instantiate was not found, so agent.nix files cannot be evaluated. "
            "Install Nix (Debian: apt install nix-bin) and put it on the PATH.",
            details={"program": _PROGRAM},
        )
    beside = Path(found).resolve().with_name(_PROGRAM)
    return beside if beside.exists() else Path(found).absolute()
