"""The stand-ins behave like the real parts of NixOS, as far as recorded.

With HIVE_NIXPKGS_LIB set to a nixpkgs' `lib` directory, options of submodules are
compared too.
"""

from pathlib import Path
from typing import Any, Final

import pytest

from checks.nix.contract import options, program, unit
from checks.nix.contract.__main__ import read
from checks.nix.test_corpus import lib_id, libs

pytestmark = pytest.mark.needs("nix")

_TEXTS: Final = {
    "str",
    "enum",
    "singleLineStr",
    "passwdEntry str",
    "passwdEntry path",
    "strMatching",
}
"""Kinds of the real options that are texts by other rules."""


def kind(name: str) -> str:
    """Return a type's kind, as far as a stand-in has to have it."""
    return "str" if name.partition(" ")[0] in _TEXTS or name in _TEXTS else name


@pytest.mark.parametrize("lib", libs(), ids=lib_id)
def test_options_of_the_stand_in_are_nixoss(lib: Path | None) -> None:
    real = read("options")["options"]
    found = {
        ".".join(option["path"]): option["kind"] for option in options.ours(lib)["host"]
    }
    assert len(found) > 20
    wrong = {
        path: (mine, real.get(path))
        for path, mine in found.items()
        if path not in real or kind(real[path]["kind"]) != kind(mine)
    }
    assert wrong == {}


def test_every_option_that_a_container_sets_is_nixoss() -> None:
    real = read("options")["options"]
    assert {path for path, option in real.items() if option["kind"] is None} == set()
    for path in options.ours()["container"]:
        found = option_of(path, real)
        assert found is not None, path
        assert not any(one.startswith(f"{found}.<name>.") for one in real), path


def option_of(path: list[str], real: dict[str, Any]) -> str | None:
    """Return the deepest option at or above a path, where users and units have names
    that we chose."""
    found = None
    for end in range(1, len(path) + 1):
        name = path[:end]
        if end > 2 and name[0] in ("systemd", "users"):
            name = [*name[:2], "<name>", *name[3:]]
        if ".".join(name) in real:
            found = ".".join(name)
    return found


def test_an_option_that_nixos_has_not_is_seen() -> None:
    real = read("options")["options"]
    path = ["systemd", "services", "agent", "nonsense"]
    assert option_of(path, real) == "systemd.services"
    assert option_of(["systemd", "services", "agent", "wants"], real) == (
        "systemd.services.<name>.wants"
    )
    assert option_of(["nonsense"], real) is None


@pytest.mark.needs("bwrap")
def test_the_stand_in_answers_as_the_real_program() -> None:
    real = read("program")["calls"]
    found = program.answers(program.standin)
    assert found.keys() == real.keys()
    assert {name: found[name] for name in real if found[name] != real[name]} == {}


def test_the_real_program_was_asked_what_matters() -> None:
    real = read("program")["calls"]
    codes = {answer["code"] for answer in real.values()}
    assert {0, 1, 2, 25, 255} <= codes
    said = "".join(line for answer in real.values() for line in answer["err"])
    assert "container \N{LEFT SINGLE QUOTATION MARK}foo" in said
    assert " at nixos-container line N." in said


@pytest.mark.needs("bwrap")
def test_scripts_of_the_unit_run_the_same() -> None:
    real = read("unit")["runs"]
    found = unit.runs(unit.standin())
    assert found.keys() == real.keys()
    assert {name: found[name] for name in real if found[name] != real[name]} == {}


def test_the_unit_has_the_same_directives() -> None:
    assert unit.standin_directives() == read("unit")["directives"]


@pytest.mark.needs("bwrap")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--kill-signal=SIGRTMIN+3", "--kill-signal=TERM"),
        ('"--setenv PRIVATE_USERS', '"--setenv PRIVATE'),
        ("idmap=:idmap", "idmap="),
    ],
)
def test_a_difference_is_seen(old: str, new: str) -> None:
    """Otherwise the tests above compare nothing."""
    texts = unit.standin()
    changed = texts.start.replace(old.strip('"'), new.strip('"'))
    assert changed != texts.start
    scripts = unit.Scripts(
        texts.pre_start, changed, texts.post_start, texts.reload, texts.init
    )
    real = read("unit")["runs"]
    assert any(unit.run(scripts, name) != real[name] for name in real)


def test_an_error_of_the_stand_in_is_seen() -> None:
    def other(stage: Any, call: Any) -> Any:
        done = program.standin(stage, call)
        done.stderr = done.stderr.replace("exist", "be")
        return done

    call = program.CALLS["start, none"]
    assert program.answer(other, call) != read("program")["calls"]["start, none"]
