"""Values of secrets: set, replaced and removed, and read from a host's files."""

import stat
from pathlib import Path

import pytest

from checks.kits.host.store import Kit
from pyglue.api.common import NoParams
from pyglue.api.secrets import SecretParams, SecretSetParams
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.core.secrets import Secrets
from pyglue.redaction.redactor import Redactor

VALUE = "s3cret-välue"


def secrets(kit: Kit, room: Path, **files: str) -> Secrets:
    config = HiveConfig(state_dir=str(room), runtime_dir=str(room), secrets=files)
    return Secrets(config=config, audit=kit.audit, redactor=Redactor())


async def names(ours: Secrets) -> list[str]:
    return [one.name for one in (await ours.all(NoParams())).secrets]


async def test_a_value_is_set_replaced_and_removed(kit: Kit, tmp_path: Path) -> None:
    ours = secrets(kit, tmp_path)
    assert await names(ours) == []
    with pytest.raises(HiveError, match="run `hive secret set TOKEN`") as caught:
        await ours.value("TOKEN")
    assert caught.value.code is ErrorCode.NOT_FOUND
    await ours.set(SecretSetParams(name="TOKEN", value=VALUE), "uid 0")
    assert await ours.value("TOKEN") == VALUE
    await ours.set(SecretSetParams(name="TOKEN", value="other"), "uid 0")
    assert await ours.value("TOKEN") == "other"
    assert await names(ours) == ["TOKEN"]
    await ours.remove(SecretParams(name="TOKEN"), "uid 0")
    with pytest.raises(HiveError, match="TOKEN is not set"):
        await ours.remove(SecretParams(name="TOKEN"), "uid 0")
    assert await names(ours) == []
    assert [(who, what) for who, what, _ in kit.audited()] == [
        ("uid 0", "secret_set"),
        ("uid 0", "secret_rotated"),
        ("uid 0", "secret_removed"),
    ]
    assert VALUE not in kit.audit.path.read_text()


async def test_a_value_is_rotated(kit: Kit, tmp_path: Path) -> None:
    ours = secrets(kit, tmp_path, FILE=str(tmp_path / "file"))
    rotated = SecretSetParams(name="TOKEN", value="another one")
    with pytest.raises(HiveError, match="TOKEN is not set: run `hive secret set TOK"):
        await ours.rotate(rotated, "uid 0")
    await ours.set(SecretSetParams(name="TOKEN", value=VALUE), "uid 0")
    await ours.rotate(rotated, "uid 0")
    assert await ours.value("TOKEN") == "another one"
    with pytest.raises(HiveError, match="TOKEN already has this value; nothing"):
        await ours.rotate(rotated, "uid 0")
    with pytest.raises(HiveError, match="by the host's configuration"):
        await ours.rotate(SecretSetParams(name="FILE", value="x"), "uid 0")
    assert [what for _, what, _ in kit.audited()] == ["secret_set", "secret_rotated"]
    hidden = ours.redactor.text(f"{VALUE} another one")
    assert hidden == "[secret TOKEN] [secret TOKEN]"


async def test_a_later_hived_hides_what_is_set(kit: Kit, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(f"{VALUE}-2\n")
    await secrets(kit, tmp_path).set(SecretSetParams(name="A", value=VALUE), "uid 0")
    later = secrets(kit, tmp_path, B=str(file), GONE=str(tmp_path / "gone"))
    assert later.redactor.text(VALUE) == VALUE
    await later.learn_all()
    assert later.redactor.text(f"{VALUE} {VALUE}-2") == "[secret A] [secret B]"


async def test_only_its_user_can_read_a_value(kit: Kit, tmp_path: Path) -> None:
    ours = secrets(kit, tmp_path)
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / ".TOKEN.new").write_text("left by a crash")
    await ours.set(SecretSetParams(name="TOKEN", value=VALUE), "uid 0")
    place = tmp_path / "secrets"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "TOKEN").stat().st_mode) == 0o600
    assert [path.name for path in place.iterdir()] == ["TOKEN"]


async def test_a_file_of_the_configuration(kit: Kit, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{VALUE}\n")
    ours = secrets(kit, tmp_path, TOKEN=str(file), GONE=str(tmp_path / "gone"))
    assert await ours.value("TOKEN") == VALUE
    (gone, token) = (await ours.all(NoParams())).secrets
    assert (gone.name, gone.configured, token.set_at) == ("GONE", True, None)
    with pytest.raises(HiveError, match="GONE is not set"):
        await ours.value("GONE")
    for call in (
        ours.set(SecretSetParams(name="TOKEN", value="x"), "uid 0"),
        ours.remove(SecretParams(name="TOKEN"), "uid 0"),
    ):
        with pytest.raises(HiveError, match="by the host's configuration"):
            await call
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(HiveError, match="Cannot read the value of TOKEN: it is not"):
        await ours.value("TOKEN")


@pytest.mark.parametrize("value", ["a\0b", "ä" * 40_000])
async def test_a_value_that_is_none_is_refused(
    kit: Kit, tmp_path: Path, value: str
) -> None:
    with pytest.raises(HiveError, match="Invalid value of TOKEN"):
        await secrets(kit, tmp_path).set(
            SecretSetParams(name="TOKEN", value=value), "uid 0"
        )


async def test_what_cannot_be_written_is_said(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "TOKEN").mkdir()
    with pytest.raises(HiveError, match="Cannot store TOKEN"):
        await secrets(kit, tmp_path).set(
            SecretSetParams(name="TOKEN", value="x"), "uid 0"
        )
