"""Messages that are given up after too many failed turns, and the letter about each."""

from datetime import UTC, datetime

from pyglue.api.messages import MessageKind
from pyglue.names import OPERATOR, SYSTEM
from pyglue.store import leases
from pyglue.store import messages as rows
from pyglue.store.database import Tx
from pyglue.store.leases import DeadLetter, Failure
from pyglue.store.messages import NewMessage
from pyglue.text.display import cited, in_quotes


def give_up(tx: Tx, recipient: str, failures_max: int) -> None:
    """Give up messages over which ``failures_max`` turns failed; tell the operator."""
    for dead in leases.bury(tx, recipient, failures_max):
        letter = NewMessage(
            sender=SYSTEM,
            recipient=OPERATOR,
            body=_letter(dead),
            kind=MessageKind.EVENT,
        )
        rows.insert(tx, letter)


def _letter(dead: DeadLetter) -> str:
    """Describe a dead letter: how often it failed, and why each time."""
    message = dead.message
    many = "1 turn" if dead.failures == 1 else f"{dead.failures} turns"
    times = "once" if dead.deliveries == 1 else f"{dead.deliveries} times"
    lines = "\n".join(_failure(failure) for failure in dead.why)
    return (
        f"Message {message.id} from {message.sender} to {message.recipient} was "
        f"dropped: {many} over it failed. It was delivered {times}.\n"
        f"{lines}\n\n{message.sender} wrote:\n\n{cited(message.body)}"
    )


def _failure(failure: Failure) -> str:
    at = datetime.fromtimestamp(failure.at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    turn = "" if failure.turn is None else f", turn {failure.turn}"
    others = "" if failure.counted else " (not counted: it may have another cause)"
    return f"- {at}{turn}{others}: {in_quotes(failure.reason)}"
