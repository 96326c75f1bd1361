"""Reading ``.drv`` files: what Nix writes, and everything else refused."""

from typing import Final

import pytest

from pyglue.errors import ErrorCode, HiveError
from pyglue.nix import drv
from pyglue.nix.drv import parse
from pyglue.nix.hoststore import check_path, is_derivation, short_name
from pyglue.nix.packages import split_name

PLAIN: Final = (
    b'Derive([("out","/nix/store/aaa-x","","")],'
    b'[("/nix/store/bbb-y.drv",["dev","out"])],["/nix/store/ccc-z"],'
    b'"x86_64-linux","/bin/sh",["-c","echo \\"hi\\"\\n\\t\\\\"],'
    b'[("name","x"),("version","1.0")])'
)
FIXED: Final = (
    b'Derive([("out","/nix/store/aaa-x","sha256","00ff")],[],[],"builtin",'
    b'"builtin:fetchurl",[],[("url","https://example.org/x")])'
)


def test_reads_what_nix_writes() -> None:
    found = parse(PLAIN)
    assert found.inputs == ("/nix/store/bbb-y.drv",)
    assert found.sources == ("/nix/store/ccc-z",)
    assert found.arguments == ("-c", 'echo "hi"\n\t\\')
    assert found.environment == {"name": "x", "version": "1.0"}
    assert (found.system, found.builder) == ("x86_64-linux", "/bin/sh")
    assert found.fixed is None


def test_knows_what_has_a_network() -> None:
    fixed = parse(FIXED).fixed
    assert fixed is not None
    assert (fixed.algorithm, fixed.hash) == ("sha256", "00ff")


def test_bytes_that_are_no_text_are_kept_visible() -> None:
    found = parse(PLAIN.replace(b'"1.0"', b'"1\xff0"'))
    assert found.environment["version"] == "1\\xff0"


@pytest.mark.parametrize("cut", range(0, len(PLAIN), 7))
def test_a_part_of_one_is_refused(cut: int) -> None:
    with pytest.raises(HiveError) as caught:
        parse(PLAIN[:cut])
    assert caught.value.code == ErrorCode.EVAL_FAILED


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"null",
        PLAIN + b" ",
        PLAIN + PLAIN,
        b" " + PLAIN,
        PLAIN.replace(b"Derive(", b'DrvWithVersion("xp-dyn-drv",'),
        PLAIN.replace(b'("name","x")', b'("version","x")'),
        PLAIN.replace(b'("name","x")', b'("name","x","y")'),
        PLAIN.replace(b'("name","x")', b'("name")'),
        PLAIN.replace(b",", b", "),
        PLAIN.replace(b'"-c",', b'"-c",,'),
        PLAIN.replace(b'["-c",', b'[,"-c",'),
        PLAIN.replace(b'"/bin/sh"', b"'/bin/sh'"),
        PLAIN.replace(b'"x86_64-linux"', b'["x86_64-linux"]'),
        b"Derive(" + b"[" * 100_000,
        b'Derive([("' + b"\\" * 100_001,
    ],
)
def test_anything_else_is_refused(bad: bytes) -> None:
    with pytest.raises(HiveError, match="cannot read a derivation"):
        parse(bad)


def test_a_large_one_is_read_and_a_huge_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = b'a\\"' * 1_000_000
    found = parse(PLAIN.replace(b"1.0", text))
    assert len(found.environment["version"]) == 2_000_000
    monkeypatch.setattr(drv, "MAX_BYTES", 100)
    with pytest.raises(HiveError) as caught:
        parse(PLAIN)
    assert caught.value.code == ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("jq-1.7", ("jq", "1.7")),
        ("bash-interactive-5.2-p1", ("bash-interactive", "5.2-p1")),
        ("units", ("units", "")),
        ("a-b-c", ("a-b-c", "")),
        ("a-", ("a-", "")),
        ("-1", ("", "1")),
        ("python3.11-x-2.0", ("python3.11-x", "2.0")),
    ],
)
def test_names_are_split_as_nix_does(name: str, split: tuple[str, str]) -> None:
    assert split_name(name) == split


HASH: Final = "00000000000000000000000000000000"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/nix/store",
        f"/nix/store/{HASH}",
        f"/nix/store/{HASH}-",
        f"/nix/store/{HASH}-.x",
        f"/nix/store/{HASH}-x/../../etc",
        f"/nix/store/{HASH}-x/y",
        f"/nix/store/{HASH}-x\n",
        f"/nix/store/{HASH}-x y",
        f"/nix/store/{HASH[1:]}e-x",
        f"/gnu/store/{HASH}-x",
        f"--option/nix/store/{HASH}-x",
        f"/nix/store/{HASH}-{'x' * 300}",
    ],
)
def test_only_store_paths_become_arguments(path: str) -> None:
    with pytest.raises(HiveError):
        check_path(path)
    assert not is_derivation(path)


def test_store_paths() -> None:
    path = f"/nix/store/{HASH}-jq-1.7.drv"
    assert check_path(path) == path
    assert is_derivation(path)
    assert short_name(path) == "jq-1.7.drv"
