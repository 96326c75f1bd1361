"""Hostile packs and trees, through the quarantine into a real repository.

Packs are damaged with their checksum put right again; trees are drawn from what has
hurt git tools before. ``test_packs`` judges each: refused in words with nothing left,
or harmless when it is looked at.
"""

import asyncio
from typing import Any

from hypothesis import strategies as st

from checks.fuzz import test_packs as corpus
from checks.fuzz.kit import Case, Trial
from checks.kits.git.objects import FILE, SEED, Objects, Room

_pack = st.tuples(st.just("pack"), st.lists(corpus._edit, min_size=1, max_size=4))
_tree = st.tuples(
    st.just("tree"),
    st.tuples(
        st.lists(st.tuples(corpus._mode, corpus._name, corpus._plan), max_size=5),
        st.booleans(),
    ),
)
_bytes = st.tuples(st.just("bytes"), st.tuples(st.binary(max_size=200), st.text()))


async def attack(trial: Trial) -> None:
    """Submit what is drawn."""
    room = Room.make(trial.lab.room("packs"))

    async def body(case: Case, drawn: tuple[str, Any]) -> None:
        try:
            accepted = await asyncio.to_thread(_submit, room, *drawn)
        except AssertionError as error:
            case.wrong(f"{drawn!r}: {error}")
            return
        case.unless(None, refused=not accepted)

    await trial.explore(body, drawn=st.one_of(_pack, _tree, _bytes))


def _submit(room: Room, kind: str, drawn: Any) -> bool:
    objects = Objects()
    if kind == "bytes":
        raw, sha = drawn
        return corpus.judge(room, b"PACK\0\0\0\2" + raw, sha)
    if kind == "pack":
        files = {**SEED, "a/b": b"x" * 300, "c": b"y\n" * 40}
        commit = objects.commit(objects.files(files), room.main, message="fuzz")
        return corpus.judge(room, corpus.damage(objects.pack(), drawn), commit)
    plan, nix = drawn
    if nix:
        plan = [*plan, (FILE, b"agent.nix", b"{ }\n")]
    _, tree = corpus.build(objects, plan)
    return corpus.judge(room, objects, objects.commit(tree, room.main))
