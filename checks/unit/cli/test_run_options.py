"""What `hive run` takes from the environment: who pays, and where the model is."""

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
