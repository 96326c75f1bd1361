"""Agents' Markdown: only our own markup, and nothing hidden, fetched or run."""

import re

import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from checks.kits.web.hostile import CORPUS
from pyglue.web.pages.markdown import WHOLE, markdown

_TAG = re.compile(r"<(/?)([a-z0-9]+)([^<>]*)>")
_PLAIN = {"p", "br", "em", "strong", "s", "code", "pre", "blockquote", "hr", "span"}
_PLAIN |= {"ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "div", "a"}
_ATTRIBUTES = re.compile(
    r"(| /| class=\"(hint|plain|md-h[1-6])\"| start=\"[0-9]+\""
    r"| href=\"https?://[^\" ]+\" rel=\"noreferrer noopener\" target=\"_blank\")"
)


@pytest.mark.parametrize("text", CORPUS, ids=[text[:12] for text in CORPUS])
@pytest.mark.parametrize(
    "around", ["{}", "> {}", "- {}", "# {}", "**{}**", "[{}](https://a.example)"]
)
def test_only_markup_of_ours_comes_out(text: str, around: str) -> None:
    html = str(markdown(around.format(text)))
    for _, name, attributes in _TAG.findall(html):
        assert name in _PLAIN
        assert _ATTRIBUTES.fullmatch(attributes), attributes
    assert "<" not in _TAG.sub("", html)
    assert "\u202e" not in html and "\x1b" not in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# One\n\n- *two*\n", '<p class="md-h1">One</p>\n<ul>\n<li><em>two'),
        ("a\nb", "a<br />\nb"),
        ("[r]: https://a.example 'hidden'", "[r]: <a href"),
        ("&#x202e;", "&amp;#x202e;"),
        ("<!-- hidden -->", "&lt;!-- hidden --&gt;"),
        ("```sh hidden\nls\n```", '<span class="hint">sh hidden</span>\n<code>ls'),
        ("![i](https://a.example/x.png)", "!<a href"),
        ("[a](http://b.example 'c')", "(http://b.example “c”)</span>"),
        ("[http://good.example](http://\u0435vil.example)", "(http://xn--vil-qdd.exam"),
        ("(see https://a.example/b_c.)", "/b_c</a>.)"),
        ("`https://a.example`", "<code>https://a.example</code>"),
        ("[relative](/approvals/7)", "[relative](/approvals/7)"),
    ],
)
def test_what_is_written_is_seen(text: str, shown: str) -> None:
    assert shown in markdown(text)


def test_a_link_that_is_its_own_target_says_it_once() -> None:
    assert markdown("<https://a.example/b>").count("https://a.example/b") == 2


def test_what_is_cut_is_said_and_long_texts_are_shown_as_they_are() -> None:
    assert "… (1,007 more characters)" in markdown("x" * 400 + "y" * 7, 400, 1000)
    assert "… (4 more characters)" in markdown("a\nb\nc", 400, lines=1)
    long = f"**{'x' * WHOLE}**<b>"
    assert markdown(long) == f'<div class="plain">**{"x" * WHOLE}**&lt;b&gt;</div>'


def test_it_is_used_where_agents_write_at_length(operator: Operator) -> None:
    hive, text = operator.hive, "It is **important**."
    hive.messages = hive.inbox = [data.message(31, recipient="operator", body=text)]
    hive.questions = [data.question(4, question=text)]
    hive.set_approval(7, description=text)
    bold = "It is <strong>important</strong>."
    assert operator.get("/").text.count(bold) == 5
    for path in ("/messages/31", "/approvals/7"):
        page = operator.get(path).text
        assert bold in page and f"<pre>{text}</pre>" in page
