"""What a proposal does to an agent's power, in words.

Called by ``changes.pinning`` with manifests that are already validated.
``diff_policy`` walks the trusted options as the schema has them, so a new option is
compared without a line here; each option's kind says how (``kinds``). What is not
comparable or not known counts as widening.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from pyglue.api.approvals import Danger, Effect, PolicyChange
from pyglue.host.policy.bash import pattern_changes
from pyglue.host.policy.kinds import compare
from pyglue.host.policy.system import SystemChange, compare_systems, unexplained
from pyglue.host.policy.words import Difference, Fallback, Resolve, danger_of, value_at
from pyglue.manifest.record import canonical
from pyglue.manifest.schema import Option, Schema
from pyglue.models import catalogue
from pyglue.text.display import listed, visible
from pyglue.text.option_path import ROOT, option_path

_ORDER: Final = tuple(Effect)
_DANGERS: Final = tuple(Danger)


def diff_policy(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    nixos_before: Sequence[str],
    nixos_after: Sequence[str],
    *,
    schema: Schema | None = None,
    resolve: Resolve = catalogue.KNOWN.resolve,
    system: SystemChange | None = None,
    defaults: Mapping[tuple[str, ...], Any] | None = None,
    limits_hold: bool = True,
) -> tuple[PolicyChange, ...]:
    """Return every change between two manifests, what widens first, the worst first.

    ``before`` is None for a new agent: it is compared with the defaults, and a sentence
    about what these leave open counts as widening. The ``nixos`` paths are the options
    that agent.nix sets outside ``hyperhive``; ``system`` says how the evaluated systems
    differ, None that this hive evaluates none. ``defaults`` is what holds for an option
    that is null, by path: None there is no limit; where it is not given, it may be
    anything. ``limits_hold`` False: memory and CPU are not limited on this machine at
    all.
    """
    known = {} if defaults is None else {k: Fallback(v) for k, v in defaults.items()}
    options = (schema or Schema.load()).options
    changes: list[PolicyChange] = []
    if before is None:
        changes += _new_agent(options, after, known, limits_hold=limits_hold)
    for option in options:
        difference = Difference(
            option=option,
            path=option.path,
            before=value_at(before or {}, option),
            after=value_at(after, option),
            resolve=resolve,
            fallback=known.get(option.path),
        )
        changes.extend(compare(difference))
    changes.extend(pattern_changes(before, after))
    changes.extend(_unknown(options, before or {}, after))
    changes.extend(compare_systems(nixos_before, nixos_after, system))
    named = (*nixos_before, *nixos_after)
    changes.extend(unexplained(before, after, named, system))
    return tuple(sorted(_judged(changes, options), key=_rank))


def _judged(
    changes: Iterable[PolicyChange], options: Sequence[Option]
) -> Iterator[PolicyChange]:
    """Yield the changes, what widens with its danger; what is unknown is the worst."""
    known = {option_path(option.path): danger_of(option) for option in options}
    for change in changes:
        if change.effect is not Effect.WIDENS or change.danger is not None:
            yield change
        else:
            danger = known.get(change.option, Danger.CRITICAL)
            yield msgspec.structs.replace(change, danger=danger)


def _rank(change: PolicyChange) -> tuple[int, int]:
    danger = 0 if change.danger is None else _DANGERS.index(change.danger)
    return _ORDER.index(change.effect), danger


def _new_agent(
    options: Sequence[Option],
    after: Mapping[str, Any],
    known: Mapping[tuple[str, ...], Fallback],
    *,
    limits_hold: bool,
) -> Iterator[PolicyChange]:
    """Say what the comparison is with, and what the defaults leave open."""
    left_open = []
    for option in options:
        words = option.words
        if option.default is not None or value_at(after, option) is not None:
            continue
        if option.widens == "add" and words.may is not None:
            left_open.append(f"it may {words.may} {words.null or 'anything'}")
        elif option.widens == "raise" and _no_limit(option, known):
            left_open.append(f"it has no {words.name or option_path(option.path)}")
    left_open.append("/state may grow until only the reserved disk space is left")
    if not limits_hold:
        left_open.append("limits of memory and CPU are not enforced on this host")
    sentence = "A new agent, compared with the defaults."
    sentence += f" The defaults allow the following: {listed(left_open)}."
    yield PolicyChange(
        option=ROOT,
        effect=Effect.WIDENS,
        sentence=sentence,
        before=None,
        after=canonical(after).decode(),
        danger=Danger.HIGH,
    )


def _no_limit(option: Option, known: Mapping[tuple[str, ...], Fallback]) -> bool:
    found = known.get(option.path)
    if found is None:
        return option.words.default is None
    return found.value is None


def _unknown(
    options: Sequence[Option], before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[PolicyChange]:
    """Compare what the schema does not name: an older or newer version's options."""
    old = dict(_beyond(options, before, ()))
    new = dict(_beyond(options, after, ()))
    for path in sorted({*old, *new}):
        was = canonical(old[path]).decode() if path in old else None
        now = canonical(new[path]).decode() if path in new else None
        if was == now:
            continue
        what = f"{option_path(path)}, unknown to this version of the hive,"
        if now is None:
            sentence = f"{what} is removed (was: {visible(was or '')})."
        else:
            sentence = f"{what} is set to {visible(now)}."
        yield PolicyChange(
            option=option_path(path),
            effect=Effect.WIDENS,
            sentence=sentence,
            before=was,
            after=now,
        )


def _beyond(
    options: Sequence[Option], tree: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], object]]:
    paths = {option.path for option in options}
    groups = {path[:depth] for path in paths for depth in range(1, len(path))}
    for name, value in tree.items():
        here = (*above, name)
        if here in groups and isinstance(value, Mapping):
            yield from _beyond(options, value, here)
        elif here not in paths:
            yield here, value
