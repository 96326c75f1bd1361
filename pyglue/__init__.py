"""hyperhive: a hive of Claude Code agents whose every change a human approves."""

from typing import Final

__version__: Final = "0.1.0"
