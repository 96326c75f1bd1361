"""Pages of agents' files: any contents and any names."""

import base64
import shutil
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from checks.kits.web.app import Operator
from checks.kits.web.hostile import CORPUS, file_name
from pyglue.api.files import READ_MAX
from pyglue.text.file_names import encoded

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
Put = Callable[[str, bytes], str]


@pytest.fixture
def put(operator: Operator) -> Put:
    """Write a file of alice's; return the query that names it."""
    top = operator.hive.layout.agent_state("alice")
    shutil.rmtree(top, ignore_errors=True)

    def write(name: str, data: bytes) -> str:
        top.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
        return f"?path={encoded(name).replace('%', '%25')}"

    return write


def test_a_directory_leads_to_what_is_in_it(operator: Operator, put: Put) -> None:
    query = put("two words & more", b"inside")
    page = operator.get("/agents/alice/files")
    assert page.status_code == 200
    assert "two words &amp; more" in page.text
    assert f'href="/agents/alice/files{query}"' in page.text
    shown = operator.get(f"/agents/alice/files{query}")
    assert "inside" in shown.text
    assert f'href="/agents/alice/files/raw{query}"' in shown.text


def test_shared_is_empty_until_somebody_writes(operator: Operator) -> None:
    operator.hive.layout.shared.mkdir(parents=True)
    assert "This directory is empty." in operator.get("/shared").text
    (operator.hive.layout.shared / "note").write_text("for bob")
    assert "for bob" in operator.get("/shared?path=note").text
    assert operator.get("/shared/raw?path=note").data == b"for bob"


class Tags(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src")}


@pytest.mark.parametrize("text", CORPUS)
def test_names_and_contents_stay_text(operator: Operator, put: Put, text: str) -> None:
    put("harmless.md", b"harmless")
    known = Tags()
    for path in ("", "?path=harmless.md", "?path=harmless.md&as=text"):
        known.feed(operator.get(f"/agents/alice/files{path}").text)
    query = put(f"{file_name(text)}.md", text.encode())
    for path in ("", query, f"{query}&as=text"):
        page = operator.get(f"/agents/alice/files{path}")
        assert page.status_code == 200
        found = Tags()
        found.feed(page.text)
        assert found.tags - known.tags <= {"code", "ul", "ol", "li", "em", "span", "br"}
        assert found.attributes <= known.attributes | {
            "class",
            "rel",
            "target",
            "title",
        }
        assert all(link.startswith(("/", "#", "http")) for link in found.links)
    raw = operator.get(f"/agents/alice/files/raw{query}")
    said = raw.headers["Content-Disposition"]
    assert said.startswith("attachment; filename*=UTF-8''") and said.isascii()


def test_what_is_saved_cannot_be_a_page_of_ours(operator: Operator, put: Put) -> None:
    query = put("page.html", b"<script>alert(1)</script>")
    raw = operator.get(f"/agents/alice/files/raw{query}")
    assert raw.data == b"<script>alert(1)</script>"
    assert raw.content_type == "application/octet-stream"
    assert raw.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; sandbox"
    )
    assert raw.headers["X-Content-Type-Options"] == "nosniff"
    assert (
        raw.headers["Content-Disposition"] == "attachment; filename*=UTF-8''page.html"
    )


def test_an_image_is_one_by_its_first_bytes(operator: Operator, put: Put) -> None:
    query = put("chart", PNG)
    assert (
        f'src="/agents/alice/files/raw{query}&amp;show=1"'
        in operator.get(f"/agents/alice/files{query}").text
    )
    shown = operator.get(f"/agents/alice/files/raw{query}&show=1")
    assert (shown.content_type, shown.data) == ("image/png", PNG)
    assert "Content-Disposition" not in shown.headers
    for name, data in (("x.png", b"<svg onload=alert(1)>"), ("x.svg", b"<svg/>")):
        query = put(name, data)
        assert operator.get(f"/agents/alice/files/raw{query}&show=1").status_code == 400
        assert (
            'class="card shown"' not in operator.get(f"/agents/alice/files{query}").text
        )


def test_data_is_not_shown_as_text(operator: Operator, put: Put) -> None:
    page = operator.get(f"/agents/alice/files{put('data', bytes(range(256)))}").text
    assert "This is not text." in page


def test_a_long_text_is_shown_in_part_and_saved_whole(
    operator: Operator, put: Put
) -> None:
    data = b"0123456789\n" * (READ_MAX // 5)
    query = put("long.log", data)
    assert "more are not shown" in operator.get(f"/agents/alice/files{query}").text
    raw = operator.get(f"/agents/alice/files/raw{query}")
    assert raw.headers["Content-Length"] == str(len(data))
    assert raw.data == data


def test_markdown_is_formatted_or_not(operator: Operator, put: Put) -> None:
    query = put("NOTES.md", b"# Lamps\n\n- one\n")
    assert "<li>one</li>" in operator.get(f"/agents/alice/files{query}").text
    assert "# Lamps" in operator.get(f"/agents/alice/files{query}&as=text").text


@pytest.mark.parametrize(
    ("query", "status"),
    [("?path=../x", 400), ("?path=gone", 404), ("?path=%00", 400), ("?path=%ff", 400)],
)
def test_what_leads_nowhere_is_an_error_page(
    operator: Operator, put: Put, query: str, status: int
) -> None:
    put("here", b"")
    for path in ("/agents/alice/files", "/agents/alice/files/raw"):
        assert operator.get(path + query).status_code == status
    assert operator.get("/agents/nobody/files").status_code == 404
