"""Messages that the operator sends, to one agent or to all."""

from dataclasses import dataclass

from pyglue.api.inbox import OperatorSendParams, SentResult
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.messages.broker import Broker
from pyglue.names import EVERYONE, OPERATOR
from pyglue.store import marks
from pyglue.store.database import Store
from pyglue.store.messages import NewMessage


@dataclass(frozen=True, kw_only=True)
class OperatorMessages:
    """Sends messages in the operator's name."""

    store: Store
    broker: Broker

    async def send(self, params: OperatorSendParams) -> SentResult:
        """Send a message; one of the operator's inbox that it answers is done.

        Raises:
            HiveError: ``bad_request`` to the operator's own inbox; ``not_found``;
                ``too_many`` if every inbox is full.
        """
        if params.to == OPERATOR:
            raise HiveError(
                ErrorCode.BAD_REQUEST,
                "You cannot send messages to your own inbox. Send to an agent.",
            )
        new = NewMessage(
            sender=OPERATOR,
            recipient=params.to,
            body=params.body,
            priority=params.priority,
            reply_to=params.reply_to,
        )
        if params.to == EVERYONE:
            number, missed = await self.broker.broadcast(new)
            sent = SentResult(id=number, missed=missed)
        else:
            number = (await self.broker.post(new)).id
            turn = self.broker.delivery.reaches(params.to)
            sent = SentResult(id=number, turn=turn)
        reply_to = params.reply_to
        if reply_to is not None:
            await self.store.write(lambda tx: marks.answered(tx, OPERATOR, reply_to))
        return sent
