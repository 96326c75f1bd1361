"""The environment of `hive run`: credentials, and the model's address."""

import json
from pathlib import Path

import pytest

from pyglue.cli.local.run import options
from pyglue.config import Credential
from pyglue.errors import ErrorCode, HiveError

NAMES = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN")
URL = "ANTHROPIC_BASE_URL"


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, URL):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "credential"), list(zip(NAMES, Credential, strict=True))
)
def test_each_credential_uses_the_real_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, credential: Credential
) -> None:
    monkeypatch.setenv(name, "secret")
    found = options(tmp_path, 7000)
    assert (found.api_key, found.credential) == ("secret", credential)
    assert found.agents == ("manager",)
    assert found.upstream == "https://api.anthropic.com"
    monkeypatch.setenv(URL, "https://gateway.example.org")
    assert options(tmp_path, 7000).upstream == "https://gateway.example.org"


def test_without_a_credential_the_scripted_model_plays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(URL, "https://gateway.example.org")
    monkeypatch.setenv(NAMES[0], "")
    found = options(tmp_path, 7000)
    assert found.api_key is None
    assert len(found.agents) > 1


def test_several_credentials_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in NAMES[1:]:
        monkeypatch.setenv(name, "secret")
    with pytest.raises(HiveError) as refused:
        options(tmp_path, 7000)
    assert refused.value.code is ErrorCode.CONFIG_INVALID
    assert f"{NAMES[1]} and {NAMES[2]} are set" in refused.value.message
    assert "secret" not in refused.value.message


MODEL = '{"id": "zai/glm-4.6", "input_per_mtok": 0.6, "output_per_mtok": 2.2}'


def test_a_settings_file_adds_models(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(f'{{"models": {{"glm": {MODEL}}}}}')
    found = options(tmp_path, 7000, settings=file)
    assert found.settings.models["glm"].id == "zai/glm-4.6"
    assert options(tmp_path, 7000).settings.models == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"modles": {}}', "modles"),
        ('{"models": {}, "models": {}}', "models"),
        (f'{{"models": {{"default": {MODEL}}}}}', "has another meaning"),
        (" " * (1024 * 1024 + 1), "longer than 1 MiB"),
    ],
)
def test_a_wrong_settings_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    with pytest.raises(HiveError) as refused:
        options(tmp_path, 7000, settings=file)
    assert refused.value.code is ErrorCode.CONFIG_INVALID
    assert said in refused.value.message


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HiveError, match="Cannot read"):
        options(tmp_path, 7000, settings=tmp_path / "none.json")


def settings(tmp_path: Path, **accounts: str) -> Path:
    """Write accounts with an API key each, and those fields that have no file."""
    found: dict[str, object] = {}
    for name, key in accounts.items():
        (tmp_path / name).write_text(key)
        found[name] = {"api_key_file": str(tmp_path / name)}
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"accounts": found}))
    return file


def test_an_account_of_the_settings_is_the_default_where_it_is_the_only_one(
    tmp_path: Path,
) -> None:
    found = options(tmp_path, 7000, settings=settings(tmp_path, team="k1"))
    assert (found.accounts.default, found.api_key) == ("team", "k1")
    assert found.agents == ("manager",)


def test_the_credential_of_the_environment_is_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(NAMES[0], "secret")
    found = options(tmp_path, 7000, settings=settings(tmp_path, team="k1"))
    assert (found.accounts.default, found.api_key) == ("default", "secret")
    assert set(found.accounts.all) == {"default", "team"}
    assert "k1" not in repr(found.accounts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"accounts": {"team": {}}}', "needs exactly one of"),
        ('{"accounts": {"team": {"api_key_file": "/none"}}}', "Cannot read"),
        ('{"accounts": {"Team": {"api_key_file": "/none"}}}', "settings.json"),
        ('{"default_account": "team"}', "Unknown default_account team"),
    ],
)
def test_accounts_that_are_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    with pytest.raises(HiveError) as refused:
        options(tmp_path, 7000, settings=file)
    assert refused.value.code is ErrorCode.CONFIG_INVALID
    assert said in refused.value.message


def test_several_accounts_need_a_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = settings(tmp_path, a="k1", b="k2")
    with pytest.raises(HiveError, match="set default_account"):
        options(tmp_path, 7000, settings=file)
    monkeypatch.setenv(NAMES[0], "secret")
    with pytest.raises(HiveError, match="is already the account `default`"):
        options(tmp_path, 7000, settings=settings(tmp_path, default="k1"))


def test_web_push_is_on_where_it_is_asked_for(tmp_path: Path) -> None:
    assert not options(tmp_path, 7000).web_push.enable
    assert options(tmp_path, 7000, web_push=True).web_push.enable
