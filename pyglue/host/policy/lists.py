"""Lists whose items each let the agent do something, compared as sets.

The kind ``add`` of the policy diff, called by ``kinds``: order and repetition
give no power, an added item does, and so does ``null`` (no limit). An option may name
one item that stands for every one.
"""

from collections.abc import Iterable, Iterator

from pyglue.api.approvals import Effect, PolicyChange
from pyglue.host.policy.words import Difference
from pyglue.text.display import listed, quoted


def compare_lists(one: Difference) -> Iterator[PolicyChange]:
    """Yield the change of a list of texts, or null."""
    words = one.option.words
    before, after = one.before, one.after
    everything = words.null or "anything"
    if after is None:
        was = _items(one, before, words.none or "nothing")
        yield one.change(Effect.WIDENS, f"{_may(one)} {everything} (was: {was}).")
    elif before is None:
        now = f"only {_items(one, after)}" if after else words.none or "nothing"
        sentence = f"{_may(one)} {now} (was: {everything})."
        yield one.change(Effect.NARROWS, sentence)
    else:
        yield _add_items(one, _all_or_each(one, before), _all_or_each(one, after))


def _all_or_each(one: Difference, items: list[str]) -> list[str]:
    """Drop repetitions, and all but the item that stands for every one."""
    every = one.option.words.every
    return [every] if every in items else list(dict.fromkeys(items))


def _add_items(one: Difference, before: list[str], after: list[str]) -> PolicyChange:
    words = one.option.words
    added = [item for item in after if item not in before]
    removed = [item for item in before if item not in after]
    if not added and not removed:
        sentence = f"{one.what} is written differently, with the same meaning."
        return one.change(Effect.NEUTRAL, sentence)
    if words.every in removed and after:
        sentence = f"{_may(one)} only {_items(one, after)} (was: {_items(one, before)})"
        return one.change(Effect.NARROWS, f"{sentence}.")
    sentences = []
    if added:
        sentences.append(f"{_may(one)} {_items(one, added)}.")
    if removed and words.every not in after:
        sentences.append(f"{_may(one, longer=False)} {_items(one, removed)}.")
    if not after and words.none is not None:
        sentences.append(f"{_may(one)} {words.none}.")
    return one.change(Effect.WIDENS if added else Effect.NARROWS, " ".join(sentences))


def _may(one: Difference, *, longer: bool = True) -> str:
    may = one.option.words.may
    if may is None:
        return f"{one.what} {'now has' if longer else 'no longer has'}"
    return f"May {'now' if longer else 'no longer'} {may}"


def _items(one: Difference, items: Iterable[str], none: str = "") -> str:
    """Write items with what they are: ``the tools Bash and Read of the …``."""
    words = one.option.words
    every = list(items)
    if not every:
        return none
    if words.every in every:
        return f"every {words.thing or 'item'}{one.owner}"
    shown = listed(map(quoted, every))
    if words.thing is None:
        return f"{shown}{one.owner if words.may else ''}"
    thing = words.thing if len(every) == 1 else words.things or f"{words.thing}s"
    return f"the {thing} {shown}{one.owner}"
