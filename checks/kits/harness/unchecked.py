"""The harness without its check of the CLI at the start, which starts the CLI.

For tests with the real CLI that are not about that check. In whole hives hived passes
the text of this file to the interpreter (``checks.kits.host.hived``), so it imports the
product only.
"""

import pyglue.harness.main
from pyglue.harness.claude.options import CliOptions
from pyglue.harness.claude.preflight import Checked
from pyglue.manifest.types import Manifest


async def unchecked(_options: CliOptions, _manifest: Manifest) -> Checked:
    """Say that the CLI starts, unseen."""
    return Checked(cli_version="0.0.0 (unchecked)", servers=(), problem=None)


if __name__ == "__main__":
    assert pyglue.harness.main.run.__kwdefaults__ is not None
    pyglue.harness.main.run.__kwdefaults__["preflight"] = unchecked
    pyglue.harness.main.main()
