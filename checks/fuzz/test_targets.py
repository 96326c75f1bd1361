"""The quick part of ``make fuzz``: as many cases of each target as `make test` has time
for, always the same ones. ``make fuzz`` tries more, and others each time.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import strategies as st

from checks.fuzz import __main__ as program
from checks.fuzz.kit import Case, Lab, Target, Trial, Verdict, run
from checks.fuzz.table import TARGETS
from checks.kits.host.hive import let_pass

SEED = 20260101


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    path = tmp_path_factory.mktemp("fuzz")
    let_pass(path)
    made = Lab(path)
    yield made
    await made.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "target",
    [pytest.param(t, marks=pytest.mark.needs(*t.needs), id=t.name) for t in TARGETS],
)
async def test_nothing_goes_wrong(target: Target, lab: Lab) -> None:
    trial = Trial(name=target.name, seed=SEED, count=target.quick, lab=lab)
    tally = await run(target, trial)
    print(target.name, dict(tally.counts))
    assert [str(one) for one in tally.wrongs] == []
    assert tally.tried >= target.quick


# --- the kit ------------------------------------------------------------------------


def target_of(*verdicts: Verdict) -> Target:
    async def attack(trial: Trial) -> None:
        for case, verdict in trial.each(verdicts):
            trial.judge(case, verdict, f"number {case.random.random()}")

    return Target("t", "nothing", "if it says so", len(verdicts), 1, attack)


async def tried(target: Target, path: Path, only: int | None = None) -> Trial:
    trial = Trial("t", 5, 10, Lab(path), only=only)
    await run(target, trial)
    return trial


async def test_a_wrong_case_says_how_to_try_it_again(tmp_path: Path) -> None:
    target = target_of(Verdict.REFUSED, Verdict.WRONG, Verdict.HARMLESS)
    tally = (await tried(target, tmp_path)).tally
    assert tally.counts == {
        Verdict.REFUSED: 1,
        Verdict.HARMLESS: 1,
        Verdict.WRONG: 1,
    }
    (wrong,) = tally.wrongs
    assert "--target t --seed 5 --case 1" in str(wrong)
    again = (await tried(target, tmp_path, only=1)).tally
    assert again.tried == 1 and again.wrongs == [wrong]


async def test_a_target_that_fails_is_wrong(tmp_path: Path) -> None:
    async def attack(_trial: Trial) -> None:
        raise RuntimeError("its own fault")

    trial = await tried(Target("t", "", "", 1, 1, attack), tmp_path)
    assert "its own fault" in trial.tally.wrongs[0].detail


async def test_what_is_drawn_comes_from_the_seed(tmp_path: Path) -> None:
    seen: dict[int, list[int]] = {}

    def attack(number: int) -> Target:
        async def explore(trial: Trial) -> None:
            async def body(case: Case, drawn: int) -> None:
                await asyncio.sleep(0)
                seen.setdefault(number, []).append(drawn)
                case.harmless()

            await trial.explore(body, drawn=st.integers())

        return Target("t", "", "", 1, 1, explore)

    assert (await tried(attack(1), tmp_path)).tally.tried == 10
    await tried(attack(2), tmp_path)
    await tried(attack(3), tmp_path, only=7)
    assert seen[1] == seen[2]
    assert seen[3] == [seen[1][7]]


def test_the_command_prints_and_writes_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        program, "TARGETS", (target_of(Verdict.REFUSED, Verdict.HARMLESS),)
    )
    file = tmp_path / "results.json"
    assert program.main(["--seed", "3", "--json", str(file)]) == 0
    assert "TARGET  TRIED  REFUSED  HARMLESS  WRONG" in capsys.readouterr().out
    results = {"t": {"seed": 3, "tried": 2, "refused": 1, "harmless": 1, "wrong": 0}}
    assert json.loads(file.read_text()) == results
    monkeypatch.setattr(program, "TARGETS", (target_of(Verdict.WRONG),))
    assert program.main(["--seed", "3"]) == 1
    assert "again: --target t --seed 3 --case 0" in capsys.readouterr().out
