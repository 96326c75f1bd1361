"""Comments as one text: ``FILE:LINE=TEXT``."""

import pytest

from pyglue.api.approvals import DiffBase, LineComment
from pyglue.api.line_comments import made, read
from pyglue.errors import ErrorCode, HiveError


@pytest.mark.parametrize(
    ("text", "comment"),
    [
        ("agent.nix:3=no", LineComment(file="agent.nix", line=3, text="no")),
        ("a/b:3-5=x\ny", LineComment(file="a/b", line=3, to=5, text="x\ny")),
        ("a b:1=2:3=4", LineComment(file="a b", line=1, text="2:3=4")),
        (
            "a:3@running=Why?",
            LineComment(file="a", line=3, text="Why?", base=DiffBase.RUNNING),
        ),
        (
            "a@b:3-5@previous=x@y",
            LineComment(file="a@b", line=3, to=5, text="x@y", base=DiffBase.PREVIOUS),
        ),
    ],
)
def test_what_is_read(text: str, comment: LineComment) -> None:
    assert read(text) == comment


@pytest.mark.parametrize(
    "text",
    [
        *("", "agent.nix", "agent.nix:3", "agent.nix:x=no", "agent.nix:3=", ":3=x"),
        *("a:0=x", "a:3-=x", "a:-3=x", "a:3=" + "x" * 2001, "a:123456789=x"),
        *("a:\u0663=x", "a:3@=x", "a:3@main=x", "a:@running=x", "a:3@Running=x"),
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(HiveError, match="Invalid comment ") as caught:
        read(text)
    assert caught.value.code is ErrorCode.BAD_REQUEST


def test_a_file_name_cannot_choose_another_file() -> None:
    assert made("x:1=y", "2", "no") == LineComment(file="x:1=y", line=2, text="no")
    with pytest.raises(HiveError, match="LINE-LINE"):
        made("x", "1=y", "no")
