"""The result of an evaluation, read from what Nix printed; it is not trusted yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.manifest.record import read_json
from pyglue.nix.failure import Limits
from pyglue.nix.log import EvalError, Problem, Roots

OUTPUT_MAX: Final = 4 * 1024 * 1024
"""Bytes of JSON."""
_OPTIONS_MAX: Final = 1000
_OPTION_LENGTH_MAX: Final = 500
SUBJECT: Final = "agent.nix"
"""What problems are about."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The manifest of a directory, not validated yet, and the NixOS options that it
    sets outside ``hyperhive``, as sorted paths.

    ``evaluated_at`` is the path under which Nix saw the directory; no agent ever sees
    it. ``printed`` is what agent.nix made Nix print: traces and warnings, in the
    author's words.
    """

    manifest: Mapping[str, Any]
    nixos_options: tuple[str, ...]
    evaluated_at: str
    printed: tuple[str, ...] = ()


def failed(problems: list[Problem]) -> EvalError:
    """Return the failure of an evaluation with these problems."""
    return Limits(SUBJECT, 0, 0).failed(problems)


def read_result(output: bytes, roots: Roots) -> Evaluation:
    """Read what Nix printed.

    Raises:
        EvalError: ``eval_failed`` if it is not a manifest with names of options,
            ``eval_limit`` for too many of them.
    """
    try:
        report = read_json(output, max_bytes=OUTPUT_MAX)
        manifest, options = report["manifest"], report["nixosOptions"]
    except (HiveError, TypeError, KeyError) as error:
        reason = "its value is not plain JSON"
        if not _is_utf8(output):
            reason = "a text in it is not UTF-8. Save its files as UTF-8"
        raise failed(
            [Problem(file=None, line=None, column=None, message=reason)]
        ) from error
    if not isinstance(manifest, dict):
        raise failed(
            [
                Problem(
                    file=None,
                    line=None,
                    column=None,
                    message="its value is not a manifest",
                )
            ]
        )
    return Evaluation(
        manifest=manifest, nixos_options=option_names(options), evaluated_at=roots.agent
    )


def _is_utf8(output: bytes) -> bool:
    try:
        output.decode()
    except UnicodeDecodeError:
        return False
    return True


def option_names(found: object) -> tuple[str, ...]:
    """Return the names of NixOS options that an evaluation reports, sorted.

    Raises:
        EvalError: ``eval_failed`` for anything else, ``eval_limit`` for too many.
    """
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise failed(
            [
                Problem(
                    file=None,
                    line=None,
                    column=None,
                    message="its options are not a list of names",
                )
            ]
        )
    if len(found) > _OPTIONS_MAX or any(len(n) > _OPTION_LENGTH_MAX for n in found):
        raise EvalError(
            ErrorCode.EVAL_LIMIT,
            f"agent.nix sets more than {_OPTIONS_MAX} NixOS options, or one of more "
            f"than {_OPTION_LENGTH_MAX} characters.",
        )
    return tuple(sorted(found))
