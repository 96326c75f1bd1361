"""Pipes a stream through a program into another stream: ``age``, for backups.

Blocking, for a thread that writes an archive. Written bytes go to the program's
standard input, and its standard output is the target stream itself.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import IO, BinaryIO, Final

from pyglue.errors import ErrorCode, HiveError
from pyglue.process.limits import find_program
from pyglue.process.once import could_not_start

_ERRORS_MAX: Final = 4096


@contextlib.contextmanager
def filtered(argv: Sequence[str], stream: BinaryIO) -> Iterator[IO[bytes]]:
    """Yield a stream whose bytes go through a program into ``stream``.

    Raises:
        HiveError: ``missing_program``; ``unavailable`` with the program's error.
        BrokenPipeError: nobody reads ``stream`` any more.
    """
    program = find_program(argv[0])
    stream.flush()
    try:
        process = subprocess.Popen(
            [program, *argv[1:]],
            stdin=subprocess.PIPE,
            stdout=stream.fileno(),
            stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise could_not_start(argv[0], error) from error
    assert process.stdin is not None and process.stderr is not None  # noqa: S101
    output: list[bytes] = []
    errors = process.stderr
    reader = threading.Thread(target=lambda: output.append(errors.read(_ERRORS_MAX)))
    reader.start()
    broken: BrokenPipeError | None = None
    try:
        try:
            with process.stdin as stdin:
                yield stdin
        except BrokenPipeError as error:
            broken = error
        code = process.wait()
    finally:
        process.kill()
        process.wait()
        reader.join()
        errors.close()
    if code > 0:
        text = b"".join(output).decode("utf-8", "replace").strip().partition("\n")[0]
        raise HiveError(
            ErrorCode.UNAVAILABLE, f"{argv[0]} failed: {text or 'no reason given'}."
        )
    if broken is not None or code < 0:
        raise broken or BrokenPipeError()
