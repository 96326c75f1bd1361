"""Values of secrets: set by the operator, named by agents, read by hived alone.

A value comes from a file named in the host's configuration (on NixOS a credential of
hived's unit), or was set with ``hive secret set`` and is stored in ``secrets/`` of the
state directory, which only hived can read. Values never enter the store, Git, a backup,
a log or a response. The audit log records when a secret is set or removed.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyglue.api.common import NoParams
from pyglue.api.secrets import (
    VALUE_MAX,
    SecretParams,
    SecretSetParams,
    SecretsResult,
    SecretView,
)
from pyglue.config import HiveConfig
from pyglue.errors import ErrorCode, HiveError
from pyglue.files.replace import replace_file
from pyglue.host.core.audit import Audit
from pyglue.redaction.redactor import Redactor

_NEW: Final = ".new"


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Reads values for other parts of hived; sets and removes them for the operator."""

    config: HiveConfig
    audit: Audit
    redactor: Redactor

    async def value(self, name: str) -> str:
        """Return a secret's current value.

        Raises:
            HiveError: ``not_found``, with what to do; ``unavailable`` if its file
                cannot be read.
        """
        value = await asyncio.to_thread(self._read, name)
        self.redactor.learn(name, value)
        return value

    async def learn_all(self) -> None:
        """Make the redactor learn all values, before an agent can print one."""
        for one in await asyncio.to_thread(self._found):
            with contextlib.suppress(HiveError):
                await self.value(one.name)

    async def all(self, _params: NoParams) -> SecretsResult:
        """List the secrets that are set."""
        return SecretsResult(secrets=await asyncio.to_thread(self._found))

    async def set(self, params: SecretSetParams, by: str) -> None:
        """Set or replace a value.

        Raises:
            HiveError: ``conflict`` if the configuration names its file;
                ``bad_request``; ``unavailable`` if it cannot be written.
        """
        self._refuse_configured(params.name)
        if "\0" in params.value or len(params.value.encode()) > VALUE_MAX:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"Invalid value of {params.name}: it must be text of at most "
                f"{VALUE_MAX} bytes without NUL.",
            )
        known = await asyncio.to_thread(self._write, params.name, params.value)
        self.redactor.learn(params.name, params.value)
        what = "secret_rotated" if known else "secret_set"
        self.audit.record(by, what, None, {"secret": params.name})

    async def rotate(self, params: SecretSetParams, by: str) -> None:
        """Replace a value with a different one.

        Raises:
            HiveError: ``not_found`` if none is set; ``bad_request`` if the value is
                unchanged; as ``set``.
        """
        self._refuse_configured(params.name)
        if await self.value(params.name) == params.value:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                f"{params.name} already has this value; nothing was changed.",
            )
        await self.set(params, by)

    async def remove(self, params: SecretParams, by: str) -> None:
        """Remove a value.

        Raises:
            HiveError: ``not_found``; ``conflict`` if the configuration names its file.
        """
        self._refuse_configured(params.name)
        try:
            await asyncio.to_thread((self._place / params.name).unlink)
        except FileNotFoundError:
            raise _missing(params.name) from None
        self.audit.record(by, "secret_removed", None, {"secret": params.name})

    @property
    def _place(self) -> Path:
        return self.config.layout.secrets

    def _refuse_configured(self, name: str) -> None:
        if name in self.config.secrets:
            raise HiveError(
                ErrorCode.CONFLICT,
                f"{name} is set by the host's configuration: change the file that "
                "services.hyperhive.secrets names, and restart hived.",
            )

    def _read(self, name: str) -> str:
        given = self.config.secrets.get(name)
        path = self._place / name if given is None else Path(given)
        try:
            text = path.read_text()
        except FileNotFoundError:
            raise _missing(name) from None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"Cannot read the value of {name}: {why}."
            ) from error
        return text.removesuffix("\n")

    def _write(self, name: str, value: str) -> bool:
        """Write a value atomically; return whether it replaced one."""
        self._place.mkdir(mode=0o700, exist_ok=True)
        path = self._place / name
        known = path.exists()
        try:
            replace_file(path, value.encode(), synced=True)
        except OSError as error:
            raise HiveError(
                ErrorCode.UNAVAILABLE, f"Cannot store {name}: {error.strerror}."
            ) from error
        return known

    def _found(self) -> tuple[SecretView, ...]:
        found = {}
        if self._place.is_dir():
            for path in self._place.iterdir():
                if path.suffix != _NEW:
                    at = path.stat().st_mtime
                    found[path.name] = SecretView(
                        name=path.name, configured=False, set_at=at
                    )
        for name in self.config.secrets:
            found[name] = SecretView(name=name, configured=True, set_at=None)
        return tuple(found[name] for name in sorted(found))


def _missing(name: str) -> HiveError:
    return HiveError(
        ErrorCode.NOT_FOUND, f"{name} is not set: run `hive secret set {name}`."
    )
