"""Valid names and paths of workspaces, and every rule that refuses one."""

from pathlib import Path

import pytest

from pyglue.config import HiveConfig, WorkspaceConfig, dump, load
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.workspaces import check_name, check_path

STATE = Path("/srv/hive/state")


@pytest.mark.parametrize("name", ["site", "a", "0_x-1", "x" * 64])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-x", "Site", "a/b", "..", "a b", "ä", "x" * 65, "a\n", ".git"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(HiveError, match="use 1 to 64 lowercase"):
        check_name(name)


@pytest.mark.parametrize(
    "path",
    [
        *("/srv/site", "/home/alice/site", "/root/site", "/data"),
        *("/tmp/x", "/var/www/a b", "/mnt/übung", "/home/alice/a.b/c"),
        *("/etcetera", "/srv/hive2", "/var/lib/forgejo"),
    ],
)
def test_paths(path: str) -> None:
    assert check_path(path, (STATE,)) == Path(path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        *((path, "use an absolute path") for path in ("", ".", "site", "./site", "/")),
        *((path, "use an absolute path") for path in ("~/site", "//srv", "/srv/")),
        *((path, "use an absolute path") for path in ("/srv/../etc", "/srv/./x")),
        *((path, "use an absolute path") for path in ("/a\0b", "/a\nb", "/a//b")),
        *(
            (f"/{top}", "a directory of the system")
            for top in ("nix", "etc", "proc", "sys", "dev", "run", "boot", "usr", "lib")
        ),
        ("/etc/nixos", "a directory of the system"),
        ("/nix/store/x", "a directory of the system"),
        ("/proc/1/root", "a directory of the system"),
        ("/run/hyperhive", "a directory of the system"),
        ("/var/lib/nixos-containers/h-bob", "a directory of the system"),
        *(
            (path, "contains more than one project")
            for path in ("/home", "/root", "/home/alice", "/tmp", "/var", "/var/lib")
        ),
        ("/home/alice/.ssh", "hidden directory"),
        ("/home/alice/site/.git", "hidden directory"),
        ("/srv/hive/state", "the hive's own directory"),
        ("/srv/hive/state/agents/bob/state", "the hive's own directory"),
        ("/srv/hive", "the hive's own directory"),
    ],
)
def test_bad_paths(path: str, said: str) -> None:
    with pytest.raises(HiveError, match=said) as caught:
        check_path(path, (STATE,))
    assert caught.value.code is ErrorCode.BAD_REQUEST


def test_the_home_of_whoever_runs_the_hive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/people/carol")
    with pytest.raises(HiveError, match="more than one project"):
        check_path("/srv/people/carol", ())
    with pytest.raises(HiveError, match="/srv/people/carol is in it"):
        check_path("/srv/people", ())
    assert check_path("/srv/people/carol/site", ())


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("Site", "/srv/site", "Invalid workspace name"),
        ("site", "/etc", "workspaces.site: /etc cannot be"),
        ("site", "/srv/hive", "the hive's own directory is /srv/hive/state"),
    ],
)
def test_the_configuration_file(
    tmp_path: Path, name: str, path: str, said: str
) -> None:
    config = HiveConfig(
        state_dir=str(STATE),
        runtime_dir=str(STATE / "run"),
        workspaces={name: WorkspaceConfig(path=path)},
    )
    file = tmp_path / "config.json"
    file.write_bytes(dump(config))
    with pytest.raises(HiveError, match=said) as caught:
        load(file)
    assert caught.value.code is ErrorCode.CONFIG_INVALID
