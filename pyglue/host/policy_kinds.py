"""How each kind of option is compared: a function for each kind.

Called by ``policy`` only. The kinds are those that modules/agent/options.nix lists;
one that nobody knows, and whatever cannot be compared, widens.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pyglue.api.approvals import Effect, PolicyChange
from pyglue.display import command_line, quoted
from pyglue.errors import HiveError
from pyglue.host.policy_env import power
from pyglue.host.policy_lists import compare_lists
from pyglue.host.policy_words import Difference, capitalised, value_at
from pyglue.manifest import canonical, memory_bytes
from pyglue.manifest_schema import option_path

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
        sentence = f"{one.what} changes."
    yield one.change(
        Effect.BEHAVIOUR, f"{sentence} The agent may act differently, not do more."
    )


def _change(one: Difference) -> Iterator[PolicyChange]:
    before, after = one.say(one.before), one.say(one.after)
    yield one.change(Effect.WIDENS, f"{one.what} changes from {before} to {after}.")


def _enable(one: Difference) -> Iterator[PolicyChange]:
    words = one.option.words
    if one.after is False:
        yield one.change(Effect.NARROWS, words.off or f"{one.what} is turned off.")
    else:
        yield one.change(Effect.WIDENS, words.on or f"{one.what} is turned on.")


def _add(one: Difference) -> Iterator[PolicyChange]:
    values = (one.before, one.after)
    if all(value is None or _is_texts(value) for value in values):
        yield from compare_lists(one)
    else:
        yield from _change(one)


def _raise(one: Difference) -> Iterator[PolicyChange]:
    words = one.option.words
    before, after = one.say(one.before), one.say(one.after)
    if words.default is not None and None in (one.before, one.after):
        which = "lower" if one.before is None else "higher"
        sentence = f"{one.what} changes from {before} to {after}; {words.default} may "
        yield one.change(Effect.WIDENS, f"{sentence}be {which}.")
    elif one.after is None:
        sentence = f"{one.what} removed (was: {before}): {words.null or _NO_LIMIT}."
        yield one.change(Effect.WIDENS, sentence)
    elif one.before is None:
        sentence = f"{one.what} set to {after} (was: {words.null or _NO_LIMIT})."
        yield one.change(Effect.NARROWS, sentence)
    else:
        yield _raise_amount(one, before, after)


def _raise_amount(one: Difference, before: str, after: str) -> PolicyChange:
    low, high = _amount(one.before), _amount(one.after)
    if low is None or high is None:
        sentence = f"{one.what} changes from {before} to {after}."
        return one.change(Effect.WIDENS, sentence)
    if low == high:
        sentence = f"{one.what} is written as {after} (was: {before}), which is equal."
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
        sentence = f"{sentence}; the price of {unknown} is not known."
        yield one.change(Effect.WIDENS, sentence)
    elif old.id == new.id:
        sentence = f"{one.what} is written as {after} (was: {before}), the same model."
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
        yield from _change(one)
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
        sentence = f"{what} is no longer set (was: {quoted(str(one.before))})."
        return one.change(Effect.BEHAVIOUR, sentence)
    verb = "set to" if one.before is None else "changes to"
    was = "" if one.before is None else f" (was: {quoted(str(one.before))})"
    meaning = power(name)
    danger = f": {meaning}" if meaning else ""
    sentence = f"{what} {verb} {quoted(str(one.after))}{was}{danger}."
    return one.change(Effect.WIDENS, sentence)


def _entry(one: Difference) -> Iterator[PolicyChange]:
    """Judge each entry: new, gone, or its options by their own kinds."""
    before, after = one.before or {}, one.after or {}
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        yield from _change(one)
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
        ran = f"; it ran {command_line(was)}" if was else ""
        yield one.change(Effect.NARROWS, f"{capitalised(what)} is removed{ran}.")
        return
    if not isinstance(one.before, Mapping):
        runs = f": it runs {command_line(now)}" if now else ""
        yield one.change(Effect.WIDENS, f"New {what}{runs}.")
    elif was != now:
        sentence = f"{command_line(now)} (was: {command_line(was)})"
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
}


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
