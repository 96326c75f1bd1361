"""The relay as a program of its own."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from checks.kits.patience import BEYOND_S, PATIENCE_S
from checks.kits.relay.bench import (
    KEY,
    PATH,
    agent,
    config,
    message,
    policy,
    script,
    until_served,
)
from checks.kits.relay.hived import FakeHived
from pyglue.config import dump
from pyglue.demo.scripted_model import ScriptedModel


# --- the program --------------------------------------------------------------------
async def test_the_program_serves_logs_no_body_and_ends(tmp_path: Path) -> None:
    model = ScriptedModel()
    await model.start()
    deep = tmp_path / ("d" * 60) / ("e" * 60)  # too long for a socket's path
    deep.mkdir(parents=True)
    made = config(deep, model.address)
    (deep / "config.json").write_bytes(dump(made))
    hived = FakeHived(made)
    await hived.start()
    hived.add(policy())
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "pyglue.relay.main",
        "--config",
        str(deep / "config.json"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        directory = os.open(hived.door("alice").parent, os.O_PATH)
        door = Path(f"/proc/self/fd/{directory}/model.sock")
        async with agent(door) as alice:
            await until_served(alice)
            for body in (message("a secret"), message("a secret", files=["a secret"])):
                async with alice.post(PATH, json=body) as answer:
                    await answer.read()
            held = message(script({"text": "one two", "chunk_sleep": BEYOND_S}))
            async with alice.post(PATH, json=held) as answer:
                await answer.content.readany()
                program.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_S):
                    assert await program.wait() == 0
        os.close(directory)
        assert program.stderr is not None
        log = (await program.stderr.read()).decode()
        assert "connected to hived" in log and "field_refused" in log
        assert "a secret" not in log and KEY not in log and "Traceback" not in log
    finally:
        if program.returncode is None:
            program.kill()
        hived.stop()
        await model.stop()


async def test_the_program_says_what_is_wrong(tmp_path: Path) -> None:
    made = config(tmp_path, "http://example.com")
    (tmp_path / "config.json").write_bytes(dump(made))
    for name in ("config.json", "missing.json"):
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pyglue.relay.main",
            "--config",
            str(tmp_path / name),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await program.communicate()
        assert program.returncode == 1
        assert said.startswith(b"hive-relay: ") and said.count(b"\n") == 1
