"""Renders Markdown written by agents; the dashboard has no other renderer.

Nothing is hidden. HTML and images stay text. Nothing is omitted: definitions of
references stay text, titles of links and the words after a code fence are shown.
Entities are not decoded, because they would bring back the characters that
``display.named`` has named. Links lead to http(s) only, and each shows its target,
unless that is its text.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markupsafe import Markup, escape

from pyglue.text.display import named
from pyglue.web.pages.text import cut

WHOLE: Final = 10_000
"""Characters beyond which a text is shown unrendered: parsing takes time."""
_KEPT: Final = 4096
"""Characters up to which the rendering of a text is cached."""
_URL: Final = re.compile(r"https?://[^\s<>()\[\]\"'`]*[^\s<>()\[\]\"'`.,;:!?*_]", re.I)
_WEB: Final = re.compile(r"https?://[^/\s]", re.I)


class _Renderer(RendererHTML):
    """Writes tokens as markup; inherits whatever it does not define."""

    def heading_open(self, tokens: Sequence[Token], at: int, *_: Any) -> str:  # noqa: ANN401
        """Show a heading as a line, so that the page's own outline is unchanged."""
        return f'<p class="md-{tokens[at].tag}">'

    def heading_close(self, *_: Any) -> str:  # noqa: ANN401
        """End that line."""
        return "</p>\n"

    def th_open(self, *_: Any) -> str:  # noqa: ANN401
        """Begin a cell; its alignment would be a style, which the page refuses."""
        return "<th>"

    def td_open(self, *_: Any) -> str:  # noqa: ANN401
        """Begin a cell."""
        return "<td>"

    def fence(self, tokens: Sequence[Token], at: int, *_: Any) -> str:  # noqa: ANN401
        """Show a block of code, with the words after its fence."""
        token = tokens[at]
        words = token.info.strip()
        label = f'<span class="hint">{escape(words)}</span>\n' if words else ""
        return f"<pre>{label}<code>{escape(token.content)}</code></pre>\n"

    def link_open(self, tokens: Sequence[Token], at: int, *_: Any) -> str:  # noqa: ANN401
        """Begin a link that reveals nothing about this page to its site."""
        href = escape(tokens[at].attrs["href"])
        return f'<a href="{href}" rel="noreferrer noopener" target="_blank">'

    def link_close(self, tokens: Sequence[Token], at: int, *_: Any) -> str:  # noqa: ANN401
        """End a link, and show its target unless that is its text."""
        begin = at - 1
        while tokens[begin].type != "link_open" or tokens[begin].level != (
            tokens[at].level
        ):
            begin -= 1
        target, title = (tokens[begin].attrs.get(name, "") for name in _SHOWN)
        text = "".join(token.content for token in tokens[begin:at])
        title = f" “{title}”" if title else ""
        if text == target and not title:
            return "</a>"
        return f'</a> <span class="hint">({escape(f"{target}{title}")})</span>'


_SHOWN: Final = ("href", "title")


def _made() -> MarkdownIt:
    made = MarkdownIt(
        "commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer
    )
    made.enable(["table", "strikethrough"])
    made.disable(["html_block", "html_inline", "image", "entity", "reference"])
    made.validateLink = lambda url: _WEB.match(url) is not None  # type: ignore[method-assign]
    made.core.ruler.push("addresses", _addresses)
    return made


def _addresses(state: StateCore) -> None:
    """Make links of bare addresses that are not in one already."""
    for block in state.tokens:
        if block.type == "inline" and block.children and "://" in block.content:
            block.children = _linked(state, block.children)


def _linked(state: StateCore, tokens: Sequence[Token]) -> list[Token]:
    made: list[Token] = []
    inside = 0
    for token in tokens:
        inside += token.nesting * token.type.startswith("link_")
        if token.type != "text" or inside:
            made.append(token)
            continue
        at = 0
        for found in _URL.finditer(token.content):
            href = state.md.normalizeLink(found.group())
            made += (
                _text(token.content[at : found.start()], token.level),
                Token("link_open", "a", 1, attrs={"href": href}, level=token.level),
                _text(href, token.level + 1),
                Token("link_close", "a", -1, level=token.level),
            )
            at = found.end()
        made.append(_text(token.content[at:], token.level))
    return made


def _text(content: str, level: int) -> Token:
    return Token("text", "", 0, content=content, level=level)


_PARSER: Final = _made()


def markdown(
    text: str | None,
    limit: int | None = None,
    left_out: int = 0,
    *,
    lines: int | None = None,
) -> Markup:
    """Return a text that an agent wrote as markup; cut as ``clip`` cuts, which is said.

    ``left_out`` more characters were left out before.
    """
    shown, more = cut(text or "", limit, left_out, lines=lines)
    html = _rendered(shown) if len(shown) <= _KEPT else _render(shown)
    if not more:
        return html
    return html + Markup('<p class="hint">… ({} more characters)</p>').format(
        f"{more:,}"
    )


def _render(text: str) -> Markup:
    shown = named(text)
    if len(text) > WHOLE:
        return Markup('<div class="plain">{}</div>').format(shown)
    return Markup(_PARSER.render(shown))  # noqa: S704 - the renderer above escapes


_rendered = functools.lru_cache(maxsize=1024)(_render)
