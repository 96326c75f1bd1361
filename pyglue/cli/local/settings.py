"""The file of ``hive run --settings FILE``: settings of a hive without NixOS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec import Struct

from pyglue import strict_json
from pyglue.api.common import DEFAULT_ACCOUNT, AccountName
from pyglue.config import ANTHROPIC, Credential
from pyglue.errors import ErrorCode, HiveError
from pyglue.models.configured import ModelConfig, catalogue_of

_MAX: Final = 1024 * 1024


@dataclass(frozen=True)
class LocalCredential:
    """A credential: its kind, the key or token, and where it is sent."""

    kind: Credential
    key: str = field(repr=False)
    upstream: str


@dataclass(frozen=True)
class LocalAccounts:
    """All accounts; without a credential, ``default`` uses the scripted model."""

    default: str = DEFAULT_ACCOUNT
    all: Mapping[str, LocalCredential] = field(default_factory=dict)


class LocalAccount(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An account: exactly one file, and where its credential is sent."""

    api_key_file: str | None = None
    oauth_token_file: str | None = None
    auth_token_file: str | None = None
    upstream_url: str = ANTHROPIC

    @property
    def files(self) -> list[tuple[Credential, str]]:
        """Return the named files, each with the kind of its credential."""
        named = (
            (Credential.API_KEY, self.api_key_file),
            (Credential.SUBSCRIPTION, self.oauth_token_file),
            (Credential.GATEWAY, self.auth_token_file),
        )
        return [(kind, file) for kind, file in named if file]


class LocalSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields of the daemons' configuration file that a file may set."""

    models: dict[str, ModelConfig] = {}
    accounts: dict[AccountName, LocalAccount] = {}
    default_account: AccountName | None = None
    """None: the credential of the environment, else the only account."""


def read(file: Path | None) -> LocalSettings:
    """Return the settings; the defaults if there is no file.

    Raises:
        HiveError: ``config_invalid`` with the field that is wrong.
    """
    if file is None:
        return LocalSettings()
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX + 1)
    except OSError as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID, f"Cannot read {file}: {error.strerror}."
        ) from error
    if len(data) > _MAX:
        raise HiveError(ErrorCode.CONFIG_INVALID, f"{file} is longer than 1 MiB.")
    found = strict_json.read(
        data,
        LocalSettings,
        what=f"settings file {file}",
        code=ErrorCode.CONFIG_INVALID,
        unique=True,
    )
    catalogue_of(found.models)
    for name, account in found.accounts.items():
        if len(account.files) != 1:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                f"Invalid settings file {file}: the account {name} needs exactly one "
                "of api_key_file, oauth_token_file and auth_token_file.",
            )
    return found


def accounts(found: LocalSettings, own: LocalCredential | None) -> LocalAccounts:
    """Return all accounts with their credentials; ``own`` is from the environment.

    Raises:
        HiveError: ``config_invalid``: a file cannot be read, a name occurs twice, or
        there is no default.
    """
    read = {name: _credential(name, one) for name, one in found.accounts.items()}
    if own is not None:
        if DEFAULT_ACCOUNT in read:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                "The credential in the environment is already the account `default`: "
                "rename the one in the settings file.",
            )
        read = {DEFAULT_ACCOUNT: own, **read}
    name = found.default_account
    if name is None:
        name = DEFAULT_ACCOUNT if own is not None or not read else min(read)
        if own is None and len(read) > 1:
            raise HiveError(
                ErrorCode.CONFIG_INVALID,
                "The settings file has several accounts: set default_account.",
            )
    elif name not in read:
        raise HiveError(ErrorCode.CONFIG_INVALID, f"Unknown default_account {name}.")
    return LocalAccounts(name, read)


def _credential(name: str, account: LocalAccount) -> LocalCredential:
    ((kind, file),) = account.files
    try:
        text = Path(file).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise HiveError(
            ErrorCode.CONFIG_INVALID,
            f"Cannot read the credential of the account {name}, {file}: {error}.",
        ) from error
    return LocalCredential(kind, text, account.upstream_url)
