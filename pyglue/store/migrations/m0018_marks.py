"""The operator's inbox: what is read is open until it is done.

A read message has the state ``read`` from now on; those read earlier count as done.
"""

from typing import Final

STATEMENTS: Final = (
    "CREATE INDEX message_read ON message (recipient, id) WHERE state = 'read'",
)
