"""The scripted model: how a step is chosen and sent."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from checks.kits.patience import PATIENCE_S
from pyglue.demo import playbook, story
from pyglue.demo.playbook import Request, Script, choose, read_request
from pyglue.demo.scripted_model import ScriptedModel, in_thread

STEPS: list[dict[str, Any]] = [
    {"tool": "Bash", "input": {"command": "git rev-parse HEAD"}},
    {"text": "done"},
]


def inline(*steps: dict[str, Any]) -> str:
    return f"[message 1 from operator]\nSCRIPT: {json.dumps(steps)} and more"


def user(*blocks: Any) -> dict[str, Any]:
    made = [{"type": "text", "text": b} if isinstance(b, str) else b for b in blocks]
    return {"role": "user", "content": made}


def result(text: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return user({"type": "tool_result", "tool_use_id": "1", "content": content})


SAID = {"role": "assistant", "content": [{"type": "text", "text": "."}]}


def asked(*messages: dict[str, Any], **fields: Any) -> Request:
    body = {"model": "claude-x", "messages": list(messages), **fields}
    return read_request(body, 100)


def rules(*given: dict[str, Any], **fields: Any) -> Script:
    return msgspec.convert({"rules": list(given), **fields}, Script)


# --- choosing -----------------------------------------------------------------------


def test_steps_follow_each_other_by_what_the_assistant_said() -> None:
    text = inline(*STEPS)
    turn = [user(text)]
    assert choose(Script(), asked(*turn)).tool == "Bash"
    turn += [SAID, result("abc")]
    assert choose(Script(), asked(*turn)).text == "done"
    turn += [SAID, result("abc")]
    assert choose(Script(default="over"), asked(*turn)).text == "over"


def test_reminders_and_system_messages_do_not_begin_a_turn() -> None:
    reminder = "<system-reminder>SCRIPT: []</system-reminder>"
    system = {"role": "system", "content": "SCRIPT: []"}
    turn = asked(user(inline(*STEPS)), system, SAID, result("abc"), user(reminder))
    assert choose(Script(), turn).text == "done"


def test_a_new_text_begins_a_new_turn() -> None:
    turn = asked(user(inline(*STEPS)), SAID, user(inline({"text": "other"})))
    assert choose(Script(), turn).text == "other"


JOINED = "The user sent a new message while you were working:\n"


def joined(text: str) -> dict[str, Any]:
    return {"role": "system", "content": f"{JOINED}{text}\nAddress it."}


def test_a_text_that_joins_is_answered_before_the_turn_ends() -> None:
    turn = [user(inline(*STEPS)), SAID, result("abc")]
    turn += [joined(inline({"tool": "Read"}, {"text": "both done"}))]
    assert choose(Script(), asked(*turn)).tool == "Read"
    turn += [SAID, result("abc")]
    assert choose(Script(), asked(*turn)).text == "both done"


def test_a_text_that_joins_leaves_what_the_turn_has_to_do() -> None:
    steps = [STEPS[0], STEPS[0], STEPS[1]]
    turn = [user(inline(*steps)), SAID, result("abc"), joined(inline({"text": "ok"}))]
    assert choose(Script(), asked(*turn)).tool == "Bash"
    turn += [SAID, result("abc")]
    assert choose(Script(), asked(*turn)).text == "ok"


def test_a_text_that_joins_is_answered_by_a_rule_or_not_at_all() -> None:
    script = rules(
        {"match": "lamps", "steps": [{"text": "{{user:lamps}}: bright"}]},
        default="no rule",
    )
    turn = [user("x"), SAID, result("abc"), joined("go on")]
    assert choose(script, asked(*turn)).text == "no rule"
    turn[-1] = joined("lamps?")
    assert choose(script, asked(*turn)).text == "lamps: bright"
    turn += [SAID, user("new turn")]
    assert choose(script, asked(*turn)).text == "no rule"


def test_rules_in_order() -> None:
    script = rules(
        {"match": "^x", "steps": [{"text": "by text"}]},
        {"match": "", "model": "opus", "steps": [{"text": "by model"}]},
        {"match": "", "system": "manager", "steps": [{"text": "by system"}]},
        default="none",
    )
    assert choose(script, asked(user("xyz"))).text == "by text"
    assert choose(script, asked(user("y"), model="claude-opus")).text == "by model"
    system = [{"type": "text", "text": "You are the manager."}]
    assert choose(script, asked(user("y"), system=system)).text == "by system"
    assert choose(script, asked(user("y"))).text == "none"
    assert choose(script, asked(user("", inline({"text": "own"})))).text == "own"


def test_compaction_gets_a_summary() -> None:
    text = "Your task is to create a detailed summary of the conversation"
    assert "<summary>" in str(choose(Script(), asked(user(text))).text)


@pytest.mark.parametrize("broken", ["SCRIPT: [", "SCRIPT: {}", 'SCRIPT: [{"txt":1}]'])
def test_a_broken_script_says_so(broken: str) -> None:
    assert "Invalid script: " in str(choose(Script(), asked(user(broken))).text)


def test_places_are_filled() -> None:
    turn = asked(
        user("let bob do it"),
        SAID,
        result("old 1111"),
        SAID,
        result("new 2222\nother 3333"),
        system="You are alice.",
    )
    filled = turn.fill(
        {
            "a": ["{{result:[0-9]+}}", "{{result:other ([0-9]+)}}"],
            "b": "{{user:let (\\w+)}} {{system:are (\\w+)}} {{model}} {{x}}",
            "c": "{{result:nothing}}",
            "d": 7,
        }
    )
    assert filled == {
        "a": ["2222", "3333"],
        "b": "bob alice claude-x {{x}}",
        "c": "(nothing matches nothing)",
        "d": 7,
    }


def test_results_of_earlier_turns_are_not_found() -> None:
    turn = asked(user("a"), SAID, result("1111"), SAID, user("b"))
    assert turn.fill("{{result:1111}}") == "(nothing matches 1111)"


def test_the_demos_scenario_is_one_that_can_be_played() -> None:
    script = msgspec.json.decode(story.PATH.read_bytes(), type=Script)
    told = story.load()
    header = "[message 1 from operator · message · 2026-01-01T00:00:00Z]"
    first = choose(script, asked(user(f"{header}\n{told.request}")))
    assert first.tool == "Read"
    proposing = [step for rule in script.rules for step in rule.steps]
    (apply,) = [s for s in proposing if s.tool == "mcp__hive__request_apply_commit"]
    sha = "0123456789abcdef0123456789abcdef01234567"
    turn = asked(
        user("x"), SAID, result(f"[main 0123456] x\n{sha}\n"), SAID, result(sha)
    )
    assert turn.fill(apply.input)["commit"] == sha
    question = asked(user(f"{header}\n{told.question}"))
    assert choose(script, question).tool == "mcp__hive__whoami"


# --- saying -------------------------------------------------------------------------


async def stream(model: ScriptedModel, *steps: dict[str, Any]) -> list[dict[str, Any]]:
    body = {
        "model": "claude-x",
        "stream": True,
        "messages": [user(inline(*steps))],
    }
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{model.address}/v1/messages?beta=true", json=body) as answer,
    ):
        assert answer.status == 200
        lines = (await answer.text()).splitlines()
    return [json.loads(line[5:]) for line in lines if line.startswith("data:")]


async def test_a_stream_as_the_api_makes_it() -> None:
    model = ScriptedModel()
    await model.start()
    step = {
        "thinking": "hm",
        "text": "two words",
        "tool": "Bash",
        "input": {"command": "ls {{model}}"},
        "tools": [{"tool": "Read", "input": {}}],
        "input_tokens": 5,
        "output_tokens": 6,
        "cache_read": 7,
    }
    seen = await stream(model, step)
    await model.stop()
    starts = [e["content_block"]["type"] for e in seen if "content_block" in e]
    assert starts == ["thinking", "text", "tool_use", "tool_use"]
    deltas = [e["delta"] for e in seen if e["type"] == "content_block_delta"]
    assert "".join(d.get("text", "") for d in deltas) == "two words"
    assert '{"command": "ls claude-x"}' in [d.get("partial_json") for d in deltas]
    usage = seen[0]["message"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (5, 7)
    assert seen[-2]["delta"]["stop_reason"] == "tool_use"
    assert seen[-2]["usage"]["output_tokens"] == 6
    assert seen[-1]["type"] == "message_stop"


async def test_errors_so_many_times() -> None:
    model = ScriptedModel(Script(default="after all"))
    await model.start()
    step = {"status": 529, "times": 2, "headers": {"retry-after": "1"}}
    body = {"model": "m", "messages": [user(inline(step))]}
    async with aiohttp.ClientSession(model.address) as client:
        for status in (529, 529, 200):
            async with client.post("/v1/messages", json=body) as answer:
                assert answer.status == status
                told = await answer.json()
        assert told["content"] == [{"type": "text", "text": "after all"}]
        async with client.post("/v1/messages/count_tokens", json=body) as answer:
            assert (await answer.json())["input_tokens"] > 0
        async with client.head("/") as answer:
            assert answer.status == 200
        async with client.post("/v1/messages", data=b"{") as answer:
            assert answer.status == 400
    await model.stop()


async def test_a_cut_stream_is_no_whole_answer() -> None:
    model = ScriptedModel()
    await model.start()
    with pytest.raises(aiohttp.ClientError):
        await stream(model, {"text": "one two", "cut": True})
    await model.stop()


async def test_a_client_that_hangs_up_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = ScriptedModel()
    await model.start()
    asking = asyncio.create_task(stream(model, {"text": "late", "sleep": 0.2}))
    await model.received(1)
    asking.cancel()
    await asyncio.wait([asking])
    await model.stop()  # it waits for what it was at
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_in_a_thread() -> None:
    with in_thread(Script(default="hello")) as model:
        assert model.address.startswith("http://127.0.0.1:")


def test_the_program(tmp_path: Path) -> None:
    script, log, requests = (tmp_path / name for name in ("s.json", "log", "requests"))
    script.write_text(json.dumps({"default": "hello", "rules": []}))
    program = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pyglue.demo.scripted_model",
            *("--script", str(script), "--log", str(log)),
            *("--requests", str(requests)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        address = program.stdout.readline().split()[-1].removeprefix("http://")
        body = json.dumps({"model": "m", "messages": [user("x")]})
        client = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        client.request("POST", "/v1/messages", body)
        answer = json.loads(client.getresponse().read())
        client.close()
        assert answer["content"][0]["text"] == "hello"
    finally:
        program.terminate()
        assert program.wait() == 0
    assert json.loads(requests.read_text()) == json.loads(body)
    assert json.loads(log.read_text())["model"] == "m"


@pytest.mark.parametrize("by", ["--script", "--script-fd"])
def test_the_program_answers_only_who_has_its_key(tmp_path: Path, by: str) -> None:
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"default": "hello", "rules": []}))
    with file.open("rb") as script:
        where = str(file) if by == "--script" else str(script.fileno())
        program = subprocess.Popen(
            [sys.executable, "-m", "pyglue.demo.scripted_model", by, where],
            env=os.environ | {playbook.KEY_VARIABLE: "of this start"},
            pass_fds=(script.fileno(),),
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        assert program.stdout is not None
        address = program.stdout.readline().split()[-1].removeprefix("http://")
        asked = json.dumps({"model": "m", "messages": [user("x")]})
        for path in ("/v1/messages", "/v1/messages/count_tokens", "/"):
            for key in ("", "scripted", "of this start "):
                client = http.client.HTTPConnection(address, timeout=PATIENCE_S)
                method = "HEAD" if path == "/" else "POST"
                client.request(method, path, asked, {"x-api-key": key})
                right = key.strip() == "of this start"
                assert (client.getresponse().status == 200) is right
                client.close()
    finally:
        program.terminate()
        assert program.wait() == 0


def test_a_step_has_no_other_fields() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"texts": "x"}, playbook.Step)
