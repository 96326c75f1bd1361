"""Watches the states of systemd units over D-Bus.

Used by the ``nixos-container`` backend. It uses signals instead of polling: a crashed
container is up again within a second. A lost connection is restored and every unit
read again: nothing is missed for long, and ``Track`` derives what happened.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from pyglue.errors import ErrorCode, HiveError
from pyglue.host.backends.track import UnitState

_SYSTEMD: Final = "org.freedesktop.systemd1"
_ROOT: Final = "/org/freedesktop/systemd1"
_UNITS: Final = f"{_ROOT}/unit"
_MANAGER: Final = f"{_SYSTEMD}.Manager"
_UNIT: Final = f"{_SYSTEMD}.Unit"
_SERVICE: Final = f"{_SYSTEMD}.Service"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_CALL_S: Final = 15.0
_PAUSES_S: Final = (0.1, 0.5, 2.0, 5.0)

_log = logging.getLogger(__name__)


def object_path(unit: str) -> str:
    """Return the D-Bus path of a unit, escaped as systemd does."""
    escaped = "".join(
        letter
        if letter.isascii() and (letter.isalpha() or (letter.isdigit() and place > 0))
        else f"_{ord(letter):02x}"
        for place, letter in enumerate(unit)
    )
    return f"{_UNITS}/{escaped}"


class UnitWatch:
    """Tracks the states of the units that ``units`` returns.

    ``changed`` is called in the event loop's thread, immediately for a signal (with
    ``settled`` false), and with the state read after a (re)connection.
    """

    def __init__(
        self,
        units: Callable[[], Iterable[str]],
        changed: Callable[[str, UnitState, bool], None],
    ) -> None:
        self._units = units
        self._changed = changed
        self._values: dict[str, dict[str, Any]] = {}
        self._paths: dict[str, str] = {}
        self._bus: MessageBus | None = None
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reads: set[asyncio.Task[None]] = set()
        self.problem: str | None = "D-Bus has not been queried yet."

    def start(self) -> None:
        """Start connecting; ``ready`` waits for it."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def ready(self, timeout: float) -> bool:
        """Wait until all units have been read; return False after ``timeout`` s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._ready.wait()
        return self._ready.is_set()

    async def read(self, unit: str) -> None:
        """Read a unit now; first pass this state or a newer one to ``changed``.

        Raises:
            HiveError: ``unavailable`` without D-Bus.
        """
        bus = self._bus
        if bus is None:
            raise HiveError(
                ErrorCode.UNAVAILABLE,
                f"systemd does not answer over D-Bus: {self.problem}",
            )
        await self._read(bus, unit)

    async def close(self) -> None:
        """Stop watching."""
        tasks = [*self._reads, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    # --- the connection ---------------------------------------------------------------

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(_CALL_S):
                    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
                try:
                    await self._watch(bus)
                    attempt = 0
                    await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
                finally:
                    self._bus = None
                    bus.disconnect()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # the library raises all kinds of errors
                self.problem = str(error) or type(error).__name__
                _log.warning("no connection to systemd: %s", self.problem)
            else:
                self.problem = "The connection to D-Bus was lost."
            await asyncio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            attempt += 1

    async def _watch(self, bus: MessageBus) -> None:
        bus.add_message_handler(self._on_message)
        rule = (
            f"type='signal',sender='{_SYSTEMD}',interface='{_PROPERTIES}',"
            f"member='PropertiesChanged',path_namespace='{_UNITS}'"
        )
        await _call(
            bus,
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=[rule],
            ),
        )
        await _manager(bus, "Subscribe")
        self._bus = bus
        for unit in self._units():
            await self._read(bus, unit)
        self.problem = None
        self._ready.set()

    def _on_message(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        unit = self._paths.get(message.path or "")
        if unit is None or message.member != "PropertiesChanged":
            return
        interface, changed, _ = message.body
        values = self._values.setdefault(unit, {})
        values.update({name: value.value for name, value in changed.items()})
        # systemd sends the service's properties first, then the unit's.
        if interface == _UNIT:
            state = _state(values)
            self._changed(unit, state, False)
            if state.active == "failed":
                task = asyncio.create_task(self._again(unit))
                self._reads.add(task)
                task.add_done_callback(self._reads.discard)

    async def _again(self, unit: str) -> None:
        """Check whether the unit stays ``failed``."""
        try:
            await self.read(unit)
        except HiveError as error:
            _log.warning("%s", error.message)

    async def _read(self, bus: MessageBus, unit: str) -> None:
        path = object_path(unit)
        self._paths[path] = unit
        await _manager(bus, "LoadUnit", "s", unit)
        values: dict[str, Any] = {}
        for interface in (_SERVICE, _UNIT):
            reply = await _call(
                bus,
                Message(
                    destination=_SYSTEMD,
                    path=path,
                    interface=_PROPERTIES,
                    member="GetAll",
                    signature="s",
                    body=[interface],
                ),
            )
            values.update({name: v.value for name, v in reply.body[0].items()})
        self._values[unit] = values
        self._changed(unit, _state(values), True)


async def _manager(
    bus: MessageBus, member: str, signature: str = "", *body: object
) -> Message:
    return await _call(
        bus,
        Message(
            destination=_SYSTEMD,
            path=_ROOT,
            interface=_MANAGER,
            member=member,
            signature=signature,
            body=list(body),
        ),
    )


async def _call(bus: MessageBus, message: Message) -> Message:
    try:
        async with asyncio.timeout(_CALL_S):
            reply = await bus.call(message)
    except Exception as error:  # a timeout, or any error below the library
        raise HiveError(
            ErrorCode.UNAVAILABLE,
            f"systemd did not answer {message.member} over D-Bus: "
            f"{error or f'no answer within {_CALL_S:g} s'}.",
        ) from error
    if reply is None or reply.message_type is MessageType.ERROR:
        reason = reply.body[0] if reply is not None and reply.body else "no answer"
        raise HiveError(
            ErrorCode.UNAVAILABLE, f"systemd answered {message.member}: {reason}"
        )
    return reply


def _state(values: dict[str, Any]) -> UnitState:
    invocation = values.get("InvocationID", b"")
    return UnitState(
        active=str(values.get("ActiveState", "inactive")),
        sub=str(values.get("SubState", "dead")),
        result=str(values.get("Result", "success")),
        restarts=int(values.get("NRestarts", 0)),
        invocation=bytes(invocation).hex(),
        exit_code=int(values.get("ExecMainCode", 0)),
        exit_status=int(values.get("ExecMainStatus", 0)),
    )
