"""The daemons' config file: refusals, and lossless round trips."""

from pathlib import Path

import pytest

from pyglue.config import HiveConfig, Ids, dump, load
from pyglue.errors import ErrorCode, HiveError


def test_what_is_dumped_loads_the_same(tmp_path: Path) -> None:
    config = HiveConfig(
        state_dir="/s", runtime_dir="/r", ids=Ids(agent=1, web=2, relay=3)
    )
    file = tmp_path / "config.json"
    file.write_bytes(dump(config))
    assert load(file) == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Invalid configuration file"),
        ("{}", "state_dir"),
        ('{"state_dir": "/s", "runtime_dir": "/r", "prot": 1}', "prot"),
        ('{"state_dir": 5, "runtime_dir": "/r"}', "state_dir"),
        ('{"state_dir": "/s", "runtime_dir": "/r", "web": {"port": 0}}', "port"),
        ('{"state_dir": "/s", "runtime_dir": "/r", "ids": {"agent": 0}}', "ids"),
        (
            '{"state_dir": "/s", "runtime_dir": "/r", "timeouts": {"health_s": 59}}',
            "timeouts.health_s is 59; use at least 60",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_field(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(HiveError) as caught:
        load(file)
    assert caught.value.code is ErrorCode.CONFIG_INVALID
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"state_dir": "/\xff", "runtime_dir": "/r"}', "not UTF-8"),
        (b'{"state_dir": "/s", "runtime_dir": "/r", "state_dir": "/t"}', "twice"),
        (b'{"state_dir": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_reads_in_two_ways_or_none(
    tmp_path: Path, data: bytes, says: str
) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(data)
    with pytest.raises(HiveError, match=says) as caught:
        load(file)
    assert caught.value.code is ErrorCode.CONFIG_INVALID


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HiveError) as caught:
        load(tmp_path / "none.json")
    assert "--config" in caught.value.message
