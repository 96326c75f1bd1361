"""What the scripted model answers: rules and steps as data, and how one is chosen.

A step list comes from the first rule of a script file whose ``match`` (a regular
expression) is found in the newest text of the user, or from a line ``SCRIPT: [...]``
in that text itself; step i answers when i assistant messages follow the text. What the
user says while the turn runs adds the steps that are for it, in place of a text that
would have ended the turn. A step holds any of

    text, tool + input, tools, thinking         what the model says and calls
    status, type, message, times, headers       an error, for the first ``times`` tries
    raw, content_type                           a body of any kind, with any ``status``
    continued                                   errors only where earlier turns stand
    sleep, chunk_sleep, cut                     slow, word by word, broken off (seconds)
    input_tokens, output_tokens, cache_read     usage
    stop                                        another stop_reason

In strings, ``{{result:REGEX}}`` is the first group found in this turn's tool results,
newest first; ``{{user:REGEX}}`` and ``{{system:REGEX}}`` look in those texts;
``{{model}}`` is the model's name.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from pyglue import strict_json
from pyglue.strict_json import JsonError

KEY_VARIABLE: Final = "SCRIPTED_MODEL_KEY"
"""Names the variable with the API key that the scripted model asks for."""
_PLACE: Final = re.compile(r"\{\{(result|user|system|model)(?::(.*?))?\}\}", re.DOTALL)
_JOINED: Final = "The user sent a new message while you were working:"
"""The beginning of the CLI's system message for a message in a running turn."""
_SUMMARY: Final = "<summary>A scripted summary of the conversation.</summary>"


class ToolCall(msgspec.Struct, frozen=True):
    """One tool call of a step."""

    tool: str
    input: dict[str, Any] = {}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer; see the module's docstring."""

    text: str | None = None
    tool: str | None = None
    input: dict[str, Any] = {}
    tools: tuple[ToolCall, ...] = ()
    thinking: str | None = None
    status: int | None = None
    type: str | None = None
    message: str | None = None
    times: int = 2**31
    headers: dict[str, str] = {}
    raw: str | None = None
    content_type: str = "text/event-stream"
    continued: bool = False
    sleep: float = 0.0
    chunk_sleep: float = 0.0
    cut: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read: int = 0
    stop: str | None = None

    @property
    def ends_turn(self) -> bool:
        """Whether this is a text without a tool call."""
        return self.text is not None and self.tool is None and not self.tools


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps for a text of the user, a model and a system prompt that match."""

    match: str
    steps: tuple[Step, ...]
    model: str = ""
    system: str = ""

    def answers(self, request: "Request") -> bool:
        """Return whether this rule is for ``request``."""
        return all(
            re.search(pattern, text)
            for pattern, text in (
                (self.match, request.user),
                (self.model, request.model),
                (self.system, request.system),
            )
        )


class Script(msgspec.Struct, frozen=True):
    """A script file; other fields are others' business."""

    rules: tuple[Rule, ...] = ()
    default: str = "OK."
    summary: Step = Step(text=_SUMMARY)
    """The answer to a compaction."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The parts of a request that determine the answer."""

    model: str
    system: str
    user: str
    joined: tuple[tuple[int, str], ...]
    """Later texts of the user, with the number of answers before each."""
    results: tuple[str, ...]
    index: int
    continued: bool
    stream: bool
    size: int

    def fill(self, value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """Return ``value`` with every place holder in its strings filled."""
        if isinstance(value, str):
            return _PLACE.sub(self._find, value)
        if isinstance(value, Mapping):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self.fill(item) for item in value]
        return value

    def filled(self, step: Step) -> Step:
        """Return ``step`` with all placeholders in its texts replaced."""
        return msgspec.structs.replace(
            step,
            text=self.fill(step.text),
            thinking=self.fill(step.thinking),
            input=self.fill(step.input),
            tools=tuple(ToolCall(one.tool, self.fill(one.input)) for one in step.tools),
        )

    def _find(self, place: re.Match[str]) -> str:
        kind, pattern = place[1], place[2] or ""
        if kind == "model":
            return self.model
        texts = {
            "result": self.results,
            "user": (self.user,),
            "system": (self.system,),
        }[kind]
        for text in texts:
            found = re.search(pattern, text)
            if found is not None:
                return found[1] if found.re.groups else found[0]
        return f"(nothing matches {pattern})"


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else []
    return [str(b.get("text", "")) for b in blocks if b.get("type") == "text"]


def _results(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    found: list[str] = []
    for message in messages:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if block.get("type") == "tool_result":
                found += _texts(block.get("content"))
    return tuple(reversed(found))


def _joined(messages: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, str], ...]:
    found: list[tuple[int, str]] = []
    answers = 0
    for message in messages:
        answers += message.get("role") == "assistant"
        texts = _texts(message.get("content"))
        found += [(answers, text) for text in texts if text.startswith(_JOINED)]
    return tuple(found)


def read_request(body: Mapping[str, Any], size: int) -> Request:
    """Find the newest real text of the user and what came after it."""
    messages = body.get("messages", [])
    start, user = 0, ""
    for index, message in enumerate(messages):
        texts = [
            text
            for text in _texts(message.get("content"))
            if message.get("role") == "user" and "<system-reminder>" not in text
        ]
        if any(text.strip() for text in texts):
            start, user = index, "\n".join(texts)
    later = messages[start + 1 :]
    return Request(
        model=str(body.get("model")),
        system="\n".join(_texts(body.get("system"))),
        user=user,
        joined=_joined(later),
        results=_results(later),
        index=sum(message.get("role") == "assistant" for message in later),
        continued=any(one.get("role") == "assistant" for one in messages[:start]),
        stream=body.get("stream") is True,
        size=size,
    )


def choose(script: Script, request: Request) -> Step:
    """Return the step that answers ``request``, its place holders filled."""
    if "create a detailed summary" in request.user:
        return script.summary
    plan = _plan(script, request)
    if request.index >= len(plan):
        return Step(text=script.default)
    asked, step = plan[request.index]
    return asked.filled(step)


def _plan(script: Script, request: Request) -> list[tuple[Request, Step]]:
    """Return the steps of a turn, each with the text that it answers."""
    plan = _steps(script, request)
    for answers, text in request.joined:
        more = _steps(script, replace(request, user=text))
        if more and len(plan) > answers and plan[-1][1].ends_turn:
            plan.pop()
        if more:
            plan += [(request, Step(text=script.default))] * (answers - len(plan))
            plan += more
    return plan


def _steps(script: Script, request: Request) -> list[tuple[Request, Step]]:
    steps = inline_steps(request.user)
    if steps is None:
        rules = (rule.steps for rule in script.rules if rule.answers(request))
        steps = next(rules, ())
    return [(request, step) for step in steps]


def inline_steps(text: str) -> tuple[Step, ...] | None:
    """Return the steps of the last ``SCRIPT:`` in a text, None if there is none."""
    begin = text.rfind("SCRIPT:")
    if begin < 0:
        return None
    try:
        raw, _ = json.JSONDecoder().raw_decode(text[begin + len("SCRIPT:") :].lstrip())
        return strict_json.convert(raw, tuple[Step, ...])
    except (ValueError, RecursionError, JsonError) as error:
        return (Step(text=f"Invalid script: {error}"),)
