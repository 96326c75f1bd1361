"""An approval's system as text: complete, with hostile text made harmless."""

from pyglue.api.system import (
    ClosureChange,
    ClosureDiff,
    Fetch,
    PackageChange,
    PackagesDiff,
    SystemDetail,
)
from pyglue.cli.output.show_system import system_lines

PACKAGES = PackagesDiff(
    base=3,
    packages=(
        PackageChange(name="jq", before=("1.6",), after=("1.7",)),
        PackageChange(name="odd\x1b[2J\nforged", before=(), after=("1\u202e",)),
    ),
    fetches=(
        Fetch(name="x.gz", urls=("https://e.org/x.gz",), hash="sha256:00", builder="b"),
        Fetch(name="y", urls=(), hash="sha256:11", builder="/bin/sh"),
    ),
    derivations=5,
    rebuilt=2,
    left_out=1,
)


def detail(*, build_log: str = "", closure: ClosureDiff | None = None) -> SystemDetail:
    return SystemDetail(
        drv="/nix/store/x.drv",
        nixpkgs="/nix/store/n",
        revision="r",
        packages=PACKAGES,
        toplevel=None,
        build_log=build_log,
        closure=closure,
    )


def test_says_what_is_known_before_approval() -> None:
    text = "\n".join(system_lines(detail()))
    assert "compared with approval 3" in text and "5 new derivations" in text
    assert "jq: 1.6 -> 1.7" in text
    assert "downloads x.gz: https://e.org/x.gz (sha256:00)" in text
    assert "downloads y: by /bin/sh, which names no URL" in text
    assert "2 packages rebuilt at the same version" in text and "1 more" in text
    assert "\x1b" not in text and "\u202e" not in text and "\nforged" not in text


def test_says_what_the_build_brought() -> None:
    change = ClosureChange(
        name="jq", before=("1.6",), after=("1.7",), bytes_before=2048, bytes_after=1024
    )
    closure = ClosureDiff(
        base=3, changes=(change,), bytes_before=3 << 20, bytes_after=5 << 30
    )
    text = "\n".join(system_lines(detail(closure=closure, build_log="hidden")))
    assert "Built: 3.0 MiB -> 5.0 GiB" in text
    assert "jq: 1.6 -> 1.7  -1.0 KiB" in text
    assert "hidden" not in text


def test_shows_the_end_of_a_log_without_a_result() -> None:
    log = "".join(f"line {n}\n" for n in range(50)) + "red \x1b[31m\n"
    text = "\n".join(system_lines(detail(build_log=log)))
    assert "line 49" in text and "line 10" not in text and "\x1b" not in text
