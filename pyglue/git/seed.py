"""The first commit of an agent's repository, as input of git fast-import.

Used by ``repos``; the paths are ours or a template's, but are checked anyway.
"""

from collections.abc import Mapping

from pyglue.errors import ErrorCode, HiveError
from pyglue.git import filenames
from pyglue.git.tags import person


def seed_stream(
    files: Mapping[str, bytes],
    message: str,
    at: int,
    *,
    ref: str = "refs/heads/main",
    parent: str | None = None,
) -> bytes:
    """Return a commit at ``at`` (seconds since the epoch) with only ``files``.

    It is the first of ``ref``, or has ``parent``, whatever ``ref`` was before.

    Raises:
        HiveError: ``unsafe_tree`` for a path that the rules refuse.
    """
    text = message.encode("utf-8")
    parts = [
        f"feature done\ncommit {ref}\ncommitter {person(at)}\n".encode(),
        b"data %d\n%b\n" % (len(text), text),
    ]
    if parent is not None:
        parts.append(f"from {parent}\ndeleteall\n".encode())
    for path, content in sorted(files.items()):
        why = filenames.path_problem(path)
        if why is not None:
            raise HiveError(
                ErrorCode.UNSAFE_TREE,
                f"{filenames.show(path)} is not allowed in an agent's repository "
                f"because {why}.",
            )
        quoted = path.encode("utf-8").replace(b'"', b'\\"')
        parts.append(b'M 100644 inline "%b"\n' % quoted)
        parts.append(b"data %d\n%b\n" % (len(content), content))
    parts.append(b"done\n")
    return b"".join(parts)
