"""What a proposal does to an agent's NixOS system, in words.

Called by ``diff``. The names of options come from the evaluation that made the system
(modules/eval/definitions.nix). Only names are known, so an option that stays set may
have another value; and a system that differs although nothing explains it is itself
said, as widening: whatever made it differ was not listed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyglue.api.approvals import Effect, PolicyChange
from pyglue.manifest.record import canonical
from pyglue.text.display import listed, visible
from pyglue.text.option_path import ROOT


@dataclass(frozen=True, kw_only=True)
class SystemChange:
    """How an evaluated system differs from the deployed one.

    ``derivations`` counts those that are new. ``first``: nothing is deployed yet.
    ``host_changed``: it is made with another nixpkgs or hive. ``depends_on`` are the
    manifest's options that a system is made from.
    """

    changed: bool
    derivations: int = 0
    first: bool = False
    host_changed: bool = False
    depends_on: tuple[str, ...] = ()


def compare_systems(
    before: Sequence[str], after: Sequence[str], system: SystemChange | None
) -> Iterator[PolicyChange]:
    """Yield what changes outside ``hyperhive``; ``system`` None: this hive has none."""
    old, new = set(before), set(after)
    if system is None:
        yield from _ignored(old, new)
        return
    for path in sorted(new - old):
        yield _outside(
            path,
            Effect.WIDENS,
            f"The NixOS option {visible(path)} is set outside {ROOT}: it can change "
            "anything in the agent's container. Read its lines in the text diff.",
        )
    for path in sorted(old - new):
        yield _outside(
            path,
            Effect.WIDENS,
            f"The NixOS option {visible(path)} is no longer set outside {ROOT}: the "
            "container returns to the hive's own value, and something that the "
            "option prevented may now be possible.",
        )
    kept = sorted(old & new)
    if kept and system.changed:
        names = listed(map(visible, kept))
        sentence = f"Still set outside {ROOT}: {names}. "
        sentence += "The values may have changed: read the text diff."
        yield _outside("NixOS", Effect.WIDENS, sentence)


def _ignored(old: set[str], new: set[str]) -> Iterator[PolicyChange]:
    """Say what is set for NixOS, on a hive that has none."""
    for paths, what in (
        (new - old, "Set outside"),
        (old & new, "Still set outside"),
        (old - new, "No longer set outside"),
    ):
        if paths:
            names = listed(map(visible, sorted(paths)))
            yield _outside(
                "NixOS",
                Effect.NEUTRAL,
                f"{what} {ROOT}: {names}. This hive runs agents without NixOS, so this "
                "has no effect.",
            )


def unexplained(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    options: Sequence[str],
    system: SystemChange | None,
) -> Iterator[PolicyChange]:
    """Yield a change when nothing in sight explains that the system is another.

    ``options`` are the NixOS options set before or after: any of them explains it.
    """
    if system is None or not system.changed or system.first:
        return
    what = f"{system.derivations} derivations"
    if system.derivations == 1:
        what = "1 derivation"
    if system.host_changed:
        yield _outside(
            "system",
            Effect.BEHAVIOUR,
            "The system is built with a different nixpkgs or hive than the deployed "
            f"one and differs in {what}. The package diff lists the changes.",
        )
        return
    by_manifest = any(
        canonical((before or {}).get(name)) != canonical(after.get(name))
        for name in system.depends_on
    )
    if not options and not by_manifest:
        yield _outside(
            "system",
            Effect.WIDENS,
            f"The system changes in {what} that no listed option explains. Read the "
            "package diff, and approve only if you understand why.",
        )


def _outside(path: str, effect: Effect, sentence: str) -> PolicyChange:
    return PolicyChange(
        option=visible(path), effect=effect, sentence=sentence, before=None, after=None
    )
