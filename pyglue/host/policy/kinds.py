"""How each kind of option is compared: a function for each kind.

Called by ``diff`` only. The kinds are those that modules/agent/options.nix lists;
one that nobody knows, and whatever cannot be compared, widens.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pyglue.api.approvals import Effect, PolicyChange
from pyglue.errors import HiveError
from pyglue.host.policy.env import power
from pyglue.host.policy.lists import compare_lists
from pyglue.host.policy.secret_kinds import expose, inject
from pyglue.host.policy.words import (
    Difference,
    capitalised,
    exact_command,
    exactly,
    value_at,
)
from pyglue.manifest.record import canonical, memory_bytes
from pyglue.text.display import quoted
from pyglue.text.option_path import option_path

_SHOWN_MAX: Final = 60
_NO_LIMIT: Final = "no limit"


def compare(difference: Difference) -> Iterator[PolicyChange]:
    """Yield what changes, by the option's kind; nothing if nothing does."""
    before, after = difference.before, difference.after
    if canonical(before) != canonical(after):
        yield from _KINDS.get(difference.option.widens, _change)(difference)


def _none(one: Difference) -> Iterator[PolicyChange]:
    before, after = one.say(one.before), one.say(one.after)
    sentence = f"{one.what} changes from {before} to {after}."
    yield one.change(Effect.NEUTRAL, sentence)


def _behaviour(one: Difference) -> Iterator[PolicyChange]:
    before, after = one.say(one.before), one.say(one.after)
    if max(len(before), len(after)) <= _SHOWN_MAX:
        sentence = f"{one.what} changes from {before} to {after}."
    else:
        was, now = _size(one.before), _size(one.after)
        sentence = f"{one.what} changes: {now} (was: {was})."
    yield one.change(
        Effect.BEHAVIOUR,
        f"{sentence} The agent may behave differently, but gains no permissions.",
    )


def _size(value: object) -> str:
    """Say a long value by its size and hash; the text diff has it."""
    encoded = canonical(value)
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    length = len(value) if isinstance(value, str) else len(encoded)
    return f"{length} characters, SHA-256 {digest}"


def _change(one: Difference) -> Iterator[PolicyChange]:
    yield one.unjudged()


def _enable(one: Difference) -> Iterator[PolicyChange]:
    words = one.option.words
    if one.after is False:
        yield one.change(Effect.NARROWS, words.off or f"{one.what} is disabled.")
    else:
        yield one.change(Effect.WIDENS, words.on or f"{one.what} is enabled.")


def _access(one: Difference) -> Iterator[PolicyChange]:
    """Compare ``read`` and ``write``; anything else widens."""
    words = one.option.words
    before, after = one.say(one.before), one.say(one.after)
    sentence = f"{one.what} changes from {before} to {after}."
    if one.after == "read":
        yield one.change(Effect.NARROWS, words.off or sentence)
    else:
        yield one.change(Effect.WIDENS, words.on or sentence)


def _add(one: Difference) -> Iterator[PolicyChange]:
    values = (one.before, one.after)
    if all(value is None or _is_texts(value) for value in values):
        yield from compare_lists(one)
    else:
        yield one.unjudged()


def _raise(one: Difference) -> Iterator[PolicyChange]:
    """Compare limits; None is what the host makes of it, if that is known."""
    words, fallback = one.option.words, one.fallback
    before, after = one.say(one.before), one.say(one.after)
    if None not in (one.before, one.after):
        yield _raise_amount(one, one.before, one.after, before, after)
    elif fallback is not None and fallback.value is not None:
        default = f"the hive's default, {one.say(fallback.value)}"
        low = fallback.value if one.before is None else one.before
        high = fallback.value if one.after is None else one.after
        was = default if one.before is None else before
        now = default if one.after is None else after
        yield _raise_amount(one, low, high, was, now)
    elif fallback is None and words.default is not None:
        which = "lower" if one.before is None else "higher"
        sentence = f"{one.what} changes from {before} to {after}; {words.default} may "
        yield one.change(Effect.WIDENS, f"{sentence}be {which}.")
    elif one.after is None:
        sentence = f"{one.what} removed (was: {before}): {words.null or _NO_LIMIT}."
        yield one.change(Effect.WIDENS, sentence)
    else:
        sentence = f"{one.what} set to {after} (was: {words.null or _NO_LIMIT})."
        yield one.change(Effect.NARROWS, sentence)


def _raise_amount(
    one: Difference, old: object, new: object, before: str, after: str
) -> PolicyChange:
    low, high = _amount(old), _amount(new)
    if low is None or high is None:
        sentence = f"{one.what} changes from {before} to {after}."
        return one.change(Effect.WIDENS, sentence)
    if low == high:
        sentence = (
            f"{one.what} is now written as {after} (was: {before}), the same amount."
        )
        return one.change(Effect.NEUTRAL, sentence)
    effect = Effect.WIDENS if high > low else Effect.NARROWS
    verb = "raised" if high > low else "lowered"
    return one.change(effect, f"{one.what} {verb} from {before} to {after}.")


def _amount(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    try:
        return memory_bytes(value) if isinstance(value, str) else None
    except HiveError:
        return None


def _dearer(one: Difference) -> Iterator[PolicyChange]:
    before, after = one.say(one.before), one.say(one.after)
    old = one.resolve(one.before) if isinstance(one.before, str) else None
    new = one.resolve(one.after) if isinstance(one.after, str) else None
    sentence = f"{one.what} changes from {before} to {after}"
    if new is None or old is None:
        unknown = after if new is None else before
        sentence = f"{sentence}; the price of {unknown} is unknown."
        yield one.change(Effect.WIDENS, sentence)
    elif old.id == new.id:
        sentence = (
            f"{one.what} is now written as {after} (was: {before}), the same model."
        )
        yield one.change(Effect.NEUTRAL, sentence)
    elif new.rank > old.rank:
        yield one.change(Effect.WIDENS, f"{sentence}, which costs more.")
    elif new.rank < old.rank:
        yield one.change(Effect.NARROWS, f"{sentence}, which costs less.")
    else:
        yield one.change(Effect.BEHAVIOUR, f"{sentence}, which costs the same.")


def _env(one: Difference) -> Iterator[PolicyChange]:
    """Judge each variable for itself."""
    before, after = one.before or {}, one.after or {}
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        yield one.unjudged()
        return
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            here = one.at(name, old, new)
            yield _variable(here, name)


def _variable(one: Difference, name: str) -> PolicyChange:
    kind = capitalised(one.option.words.name or "entry")
    what = f"{kind} {quoted(name)}{one.owner}"
    if one.after is None:
        sentence = f"{what} is no longer set (was: {exactly(str(one.before))})"
        lost = "something that it restricted may now be possible"
        return one.change(Effect.WIDENS, f"{sentence}: {lost}.")
    verb = "set to" if one.before is None else "changes to"
    was = "" if one.before is None else f" (was: {exactly(str(one.before))})"
    meaning = power(name)
    danger = f": {meaning}" if meaning else ""
    sentence = f"{what} {verb} {exactly(str(one.after))}{was}{danger}."
    return one.change(Effect.WIDENS, sentence)


def _entry(one: Difference) -> Iterator[PolicyChange]:
    """Judge each entry: new, gone, or its options by their own kinds."""
    before, after = one.before or {}, one.after or {}
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        yield one.unjudged()
        return
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if canonical(old) != canonical(new):
            here = one.at(name, old, new)
            yield from _one_entry(here, name)


def _one_entry(one: Difference, name: str) -> Iterator[PolicyChange]:
    words = one.option.words
    what = f"{words.name or 'entry of ' + option_path(one.path[:-1])} {quoted(name)}"
    was, now = _command(one, one.before), _command(one, one.after)
    if not isinstance(one.after, Mapping):
        ran = f"; it ran {exact_command(was)}" if was else ""
        yield one.change(Effect.NARROWS, f"{capitalised(what)} is removed{ran}.")
        return
    if not isinstance(one.before, Mapping):
        runs = f": it runs {exact_command(now)}" if now else ""
        yield one.change(Effect.WIDENS, f"New {what}{runs}.")
    elif was != now:
        sentence = f"{exact_command(now)} (was: {exact_command(was)})"
        sentence = f"{capitalised(what)} now runs {sentence}."
        yield one.change(Effect.WIDENS, sentence)
    for inner in one.option.inner:
        if inner.path[0] not in words.command:
            yield from compare(
                Difference(
                    option=inner,
                    path=(*one.path, *inner.path),
                    before=value_at(one.before or {}, inner),
                    after=value_at(one.after, inner),
                    resolve=one.resolve,
                    owner=f" of the {what}",
                )
            )


def _command(one: Difference, entry: object) -> list[str]:
    """Return the command line that the entry's own options make up."""
    words: list[str] = []
    if isinstance(entry, Mapping):
        for name in one.option.words.command:
            part = entry.get(name)
            words += part if isinstance(part, list) else [str(part)]
    return words


_KINDS: Final[Mapping[str, Callable[[Difference], Iterator[PolicyChange]]]] = {
    "none": _none,
    "behaviour": _behaviour,
    "change": _change,
    "add": _add,
    "enable": _enable,
    "raise": _raise,
    "dearer": _dearer,
    "env": _env,
    "entry": _entry,
    "access": _access,
    "inject": inject,
    "expose": expose,
}


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
