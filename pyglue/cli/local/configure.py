"""The configuration of a local hive, with the files it names.

They lie in the temporary directory of the run. Each secret is readable by the one part
that uses it.
"""

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyglue.cli.local.settings import LocalAccounts, LocalSettings
from pyglue.config import (
    ANTHROPIC,
    Account,
    AgentDefaults,
    Credential,
    DeclaredAgent,
    DiskConfig,
    EgressConfig,
    HiveConfig,
    Ids,
    MessageLimits,
    NotifyConfig,
    Quotas,
    RelayConfig,
    Timeouts,
    WarmConfig,
    WebConfig,
    WebPushConfig,
    dump,
)

_MEMORY_DEFAULT: Final = "4G"
"""For an agent that sets none, so that one agent cannot use all memory."""
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class LocalOptions:
    """The options of ``hive run``. ``script`` is the script of the scripted model.

    ``api_key`` is the key or token of the kind ``credential``; None: that model.
    """

    state: Path
    port: int
    api_key: str | None
    credential: Credential = Credential.API_KEY
    script: Path
    agents: tuple[str, ...]
    upstream: str = ANTHROPIC
    egress: EgressConfig = field(default_factory=EgressConfig)
    notify_urls: str | None = None
    """Text of the file with notification URLs; None: there is none."""
    web_push: WebPushConfig = field(default_factory=WebPushConfig)
    settings: LocalSettings = field(default_factory=LocalSettings)
    accounts: LocalAccounts = field(default_factory=LocalAccounts)
    """Its default one is ``api_key``, unless that is None."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    messages: MessageLimits = field(default_factory=MessageLimits)
    disk: DiskConfig = field(default_factory=DiskConfig)
    quotas: Quotas = field(default_factory=Quotas)
    warm: WarmConfig = field(default_factory=WarmConfig)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The directories of a run, and the users of its parts (None: all run as us)."""

    state: Path
    temporary: Path
    ids: Ids | None

    @property
    def config_file(self) -> Path:
        """The file that every part reads."""
        return self.temporary / "config.json"

    def runtime(self) -> Path:
        """Make the directory of the sockets, which the parts' own users can reach.

        The path to a state directory may be closed to them (below ``/root``, for
        example), so root's hive has its sockets elsewhere and ``run`` in the state
        directory is a link.
        """
        link = self.state / "run"
        if self.ids is None:
            return link
        if link.is_symlink():
            link.unlink()
        runtime = self.temporary / "run"
        runtime.mkdir(mode=0o700)
        self.let_pass(runtime)
        link.symlink_to(runtime)
        return runtime

    def let_pass(self, directory: Path) -> None:
        """Let only the hive's own users traverse it."""
        if self.ids is not None:
            os.chown(directory, 0, group_of(self.ids))
            directory.chmod(0o710)

    def write(self, config: HiveConfig) -> None:
        """Write the config file, readable only by the hive's own users."""
        fresh = self.temporary / ".config.json.new"
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, _NEW, 0o600), "wb") as file:
            file.write(dump(config))
        if self.ids is not None:
            os.chown(fresh, 0, group_of(self.ids))
            fresh.chmod(0o640)
        fresh.replace(self.config_file)

    def secret(self, name: str, text: str, uid: int | None) -> str:
        """Write a file that only ``uid`` can read (None: we), and return its path."""
        path = self.temporary / name
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with os.fdopen(os.open(path, _NEW, 0o600), "w") as file:
            file.write(text)
        if uid is not None:
            os.chown(path, uid, uid)
        return str(path)


def configure(
    options: LocalOptions, place: Place, *, upstream: str, key: str
) -> HiveConfig:
    """Return the parts' configuration. ``key`` is the relay's credential."""
    ids = place.ids
    relay = None if ids is None else ids.relay
    urls_file = None
    if options.notify_urls is not None:
        uid = None if ids is None else ids.notify
        urls_file = place.secret("notify-urls", options.notify_urls, uid)
    return HiveConfig(
        state_dir=str(place.state),
        runtime_dir=str(place.runtime()),
        ids=ids,
        defaults=AgentDefaults(memory_max=_MEMORY_DEFAULT),
        web=WebConfig(port=options.port, run=secrets.token_hex(8)),
        relay=RelayConfig(
            upstream_url=upstream,
            credential=options.credential,
            api_key_file=place.secret("api-key", key, relay),
            scripted=options.api_key is None,
            name=options.accounts.default,
            others=_other_accounts(options.accounts, place, relay),
        ),
        models=options.settings.models,
        egress=options.egress,
        notify=NotifyConfig(url_file=urls_file, web_push=options.web_push),
        timeouts=options.timeouts,
        messages=options.messages,
        disk=options.disk,
        quotas=options.quotas,
        warm=options.warm,
        agents=tuple(DeclaredAgent(name=name) for name in options.agents),
    )


def group_of(ids: Ids) -> int:
    """Return the common group of the hive's own users."""
    return ids.agent if ids.group is None else ids.group


def _other_accounts(
    accounts: LocalAccounts, place: Place, relay: int | None
) -> dict[str, Account]:
    """Write the credentials of the other accounts, readable only by the relay."""
    return {
        name: Account(
            upstream_url=one.upstream,
            credential=one.kind,
            api_key_file=place.secret(f"account-{name}", one.key, relay),
        )
        for name, one in accounts.all.items()
        if name != accounts.default
    }
