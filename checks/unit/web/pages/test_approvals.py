"""The queue and the page of an approval: display, decisions and refusals."""

import re
from typing import Any

import msgspec
import pytest

from checks.kits.web import data as data
from checks.kits.web.app import Operator, show_diff
from pyglue.api.approvals import (
    ApprovalKind,
    ApproveParams,
    ChangesRequested,
    Danger,
    DiffBase,
    Effect,
    LineComment,
    PolicyChange,
    QuotedComment,
    critical,
)
from pyglue.api.diff import FileStatus
from pyglue.api.wakeups import ScheduleView


def test_the_policy_comes_before_the_files(operator: Operator) -> None:
    html = operator.get("/approvals/7").text
    assert html.index("policy-widens") < html.index('data-testid="filelist"')
    row = operator.hive.approvals[7].approval
    assert html.count(row.commit) == 2
    assert html.count(row.manifest_sha256) == 2
    assert "The model is dearer: sonnet instead of haiku." in html
    assert "Fewer permissions" in html
    assert '<span class="tag behaviour">Behaviour</span>' in html


def test_the_base_and_the_view_are_links(operator: Operator) -> None:
    running = operator.get("/approvals/7?base=running").text
    previous = operator.get("/approvals/7?base=previous&view=split").text
    assert "notes/history.md" in running
    assert 'data-path="notes/history.md"' not in previous
    assert 'class="diff split"' in previous
    assert 'class="diff split"' not in running
    assert operator.get("/approvals/7?base=<x>&view=<y>").status_code == 200


def test_many_files_are_listed_by_directory(operator: Operator) -> None:
    paths = ["agent.nix", "notes/a.md", "notes/\u202eb.md", "notes/deep/c.md", "z.md"]
    files = [data.file_diff(path, "old\n", "new\n") for path in paths]
    show_diff(operator.hive, *files[:3])
    assert 'class="dir"' not in operator.get("/approvals/7").text
    show_diff(operator.hive, *files)
    html = operator.get("/approvals/7").text
    found = re.findall(r'<li class="dir"><code>([^<]*)', html)
    assert found == ["notes/", "notes/deep/", "./"]
    links = re.findall(r'<a href="#file-\d"[^>]*><code>(.*?)</code>', html)
    said = [re.sub("<[^>]*>", "", link) for link in links]
    assert said == ["agent.nix", "a.md", "\u2039U+202E\u203ab.md", "c.md", "z.md"]


def test_hidden_characters_are_visible_in_a_diff(operator: Operator) -> None:
    tricky = 'allowedTools = [ "Read\u202e" ]; # \x1b[2K\u200b'
    show_diff(operator.hive, data.file_diff("agent.nix", "", tricky))
    html = operator.get("/approvals/7").text
    assert '<span class="hid" title="U+202E">\u2039U+202E\u203a</span>' in html
    assert '<span class="hid" title="U+001B">\u241b</span>' in html
    assert "\u202e" not in html
    assert "\x1b" not in html


def test_what_is_not_shown_is_said_and_has_to_be_confirmed(operator: Operator) -> None:
    hive = operator.hive
    show_diff(hive, data.binary("logo.png"))
    hive.set_approval(7, widens=())
    hive.approvals[7] = msgspec.structs.replace(hive.approvals[7], policy=())
    html = operator.get("/approvals/7").text
    assert "Binary file, not shown" in html
    assert "1 file is not shown in full here" in html
    assert decide(operator, confirm="").status_code == 400
    assert not hive.called("approve")


def test_the_whole_diff_as_text(operator: Operator) -> None:
    answer = operator.get("/approvals/7/diff.txt")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert '+    model = "sonnet";' in answer.text
    one = operator.get("/approvals/7/diff.txt?file=1").text
    assert "notes/history.md" in one
    assert "agent.nix" not in one
    assert operator.get("/approvals/7/diff.txt?file=99").text == ""


def decide(operator: Operator, **changed: Any) -> Any:
    row = operator.hive.approvals[7].approval
    accept = list(map(str, critical(operator.hive.approvals[7].policy)))
    form = {"commit": row.commit, "manifest": row.manifest_sha256, "confirm": "yes"}
    return operator.post("/approvals/7/approve", {**form, "accept": accept, **changed})


def test_approving_names_what_was_seen(operator: Operator) -> None:
    row = operator.hive.approvals[7].approval
    answer = decide(operator)
    assert (answer.status_code, answer.location) == (303, "/approvals/7")
    assert operator.hive.called("approve") == [
        ApproveParams(
            id=7, commit=row.commit, manifest=row.manifest_sha256, accepted=(1,)
        )
    ]
    html = operator.get("/approvals/7").text
    assert 'Deploying… (<a href="/operations/12">operation 12</a>)' in html
    assert 'data-state="building"' in html
    assert "Operation 12" in html
    assert "approve-form" not in html


def change(option: str, danger: Danger) -> PolicyChange:
    return PolicyChange(
        option, Effect.WIDENS, f"May {option}.", None, None, danger=danger
    )


def test_each_critical_change_has_a_box(operator: Operator) -> None:
    hive = operator.hive
    policy = (
        change("network", Danger.CRITICAL),
        change("shell", Danger.CRITICAL),
        change("model", Danger.MEDIUM),
    )
    hive.approvals[7] = msgspec.structs.replace(hive.approvals[7], policy=policy)
    html = operator.get("/approvals/7").text
    boxes = re.findall(r'name="accept" value="(\d)" id="accept-\1" required', html)
    assert boxes == ["1", "2"]
    assert "Accept each of 2 critical changes" in html
    assert 'name="confirm"' not in html
    for wrong in (["1"], [], ["1", "2", "3"], ["1", "1"], ["x", "1"], ["9" * 40]):
        answer = decide(operator, accept=wrong, confirm="yes")
        assert answer.status_code == 400
        assert "Nothing was approved" in answer.text or wrong == ["9" * 40]
    assert hive.approvals[7].approval.state == "pending"
    assert decide(operator, confirm="").status_code == 303


def test_what_is_not_shown_is_confirmed_besides(operator: Operator) -> None:
    show_diff(operator.hive, data.binary("logo.png"))
    html = operator.get("/approvals/7").text
    assert 'name="accept"' in html
    assert "1 file is not shown in full here" in html
    assert decide(operator, confirm="").status_code == 400
    assert decide(operator).status_code == 303


def test_widening_needs_the_operator_s_word(operator: Operator) -> None:
    hive = operator.hive
    policy = (change("model", Danger.MEDIUM),)
    hive.approvals[7] = msgspec.structs.replace(hive.approvals[7], policy=policy)
    assert 'name="accept"' not in operator.get("/approvals/7").text
    answer = decide(operator, confirm="")
    assert answer.status_code == 400
    assert "Nothing was approved" in answer.text
    assert not operator.hive.called("approve")


def test_what_is_harmless_needs_one_click_only(operator: Operator) -> None:
    hive = operator.hive
    hive.set_approval(7, widens=())
    hive.approvals[7] = msgspec.structs.replace(hive.approvals[7], policy=())
    assert 'name="confirm"' not in operator.get("/approvals/7").text
    assert decide(operator, confirm="").status_code == 303


def test_approving_twice_is_a_clear_conflict(operator: Operator) -> None:
    decide(operator)
    answer = decide(operator)
    assert answer.status_code == 409
    assert "<h1>Approval 7 is building already</h1>" in answer.text
    assert 'href="/approvals/7"' in answer.text


@pytest.mark.parametrize("field", ["commit", "manifest"])
def test_a_stale_approval_is_refused(operator: Operator, field: str) -> None:
    answer = decide(operator, **{field: "0" * 40})
    assert answer.status_code == 409
    assert "Read it again" in answer.text
    assert operator.hive.approvals[7].approval.state == "pending"


@pytest.mark.parametrize("field", ["commit", "manifest"])
def test_an_approval_of_nothing_is_refused(operator: Operator, field: str) -> None:
    assert decide(operator, **{field: " "}).status_code == 400
    assert not operator.hive.called("approve")


def test_denying_needs_a_reason(operator: Operator) -> None:
    assert operator.post("/approvals/7/deny", {"reason": " "}).status_code == 400
    answer = operator.post("/approvals/7/deny", {"reason": "Too much.\r\nAsk less."})
    assert answer.status_code == 303
    (params,) = operator.hive.called("deny")
    assert params.reason == "Too much.\nAsk less."
    assert "Too much." in operator.get("/approvals/7").text


def request(operator: Operator, **form: Any) -> Any:
    return operator.post("/approvals/7/request-changes", {"text": "", **form})


def test_changes_are_requested_by_file_and_line(operator: Operator) -> None:
    answer = request(
        operator,
        text=" All of it.\r\nAgain. ",
        file=["agent.nix", "", "notes/history.md"],
        line=[" 6 ", "", "1-3"],
        note=["Why\r\nsonnet?", " ", "Shorter."],
    )
    assert (answer.status_code, answer.location) == (303, "/approvals/7")
    (params,) = operator.hive.called("request_changes")
    assert params.text == "All of it.\nAgain."
    assert params.comments == (
        LineComment(file="agent.nix", line=6, text="Why\nsonnet?"),
        LineComment(file="notes/history.md", line=1, to=3, text="Shorter."),
    )
    html = operator.get("/approvals/7").text
    assert 'data-state="changes_requested"' in html
    assert html.count("Shorter.") == 2  # at the top, and at its lines
    assert "changes-form" not in html


def test_the_page_s_script_sends_its_comments_as_json(operator: Operator) -> None:
    one = LineComment(file="agent.nix", line=6, text="No.", base=DiffBase.RUNNING)
    drafted = msgspec.json.encode([one]).decode()
    assert request(operator, comments=drafted).status_code == 303
    (params,) = operator.hive.called("request_changes")
    assert params.comments == (one,)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"file": "a", "line": "", "note": "x"}, "its file, its line and its text"),
        ({"file": "", "line": "1", "note": "x"}, "its file, its line and its text"),
        ({"file": "a", "line": "1", "note": " "}, "its file, its line and its text"),
        ({"file": "a", "line": "one", "note": "x"}, "write the number of a line"),
        ({"file": "a", "line": "0", "note": "x"}, "Invalid comment"),
        ({"file": "a", "line": "1", "note": "x" * 2001}, "Invalid comment"),
        ({"comments": "{"}, "JSON"),
        ({"comments": '[{"file": "a"}]'}, "line"),
        ({"comments": '[{"file": "a", "line": 1, "text": "x", "b": 1}]'}, "b"),
    ],
)
def test_a_comment_that_is_not_whole_is_refused(
    operator: Operator, form: dict[str, str], why: str
) -> None:
    answer = request(operator, text="x", **form)
    assert answer.status_code == 400
    assert why in answer.text
    assert not operator.hive.called("request_changes")


def test_the_api_takes_comments_as_one_text_each(operator: Operator) -> None:
    path = "/api/approvals/7/request_changes"
    form = {"text": "No.", "comment": ["a:6=Why?", "a:1-3=x", "a:4@running=y"]}
    assert operator.post(path, form).json == {}
    (params,) = operator.hive.called("request_changes")
    assert [one.to for one in params.comments] == [None, 3, None]
    assert [one.base for one in params.comments] == [None, None, DiffBase.RUNNING]
    assert operator.post(path, form).status_code == 409
    assert operator.post(path, {"comment": "agent.nix=x"}).status_code == 400
    assert operator.post(path, {"comment": ["a:1=x"] * 51}).status_code in (400, 413)


def asked(operator: Operator, *comments: QuotedComment) -> str:
    changes = ChangesRequested(approval=5, text="Nearly <b>", comments=comments)
    found = operator.hive.approvals[7]
    operator.hive.approvals[7] = msgspec.structs.replace(found, asked=changes)
    return operator.get("/approvals/7").text


def test_what_was_asked_for_before_is_at_the_top_and_at_its_line(
    operator: Operator,
) -> None:
    one = QuotedComment(
        file="agent.nix", line=2, to=2, base=None, text="<i>", quoted=("<u>",)
    )
    now = msgspec.structs.replace(one, line_now=6)
    far = msgspec.structs.replace(one, line_now=999)
    html = asked(operator, one, now, far)
    assert 'Changes requested in <a href="/approvals/5">approval 5</a>' in html
    assert "Nearly &lt;b&gt;" in html
    assert html.count("&lt;u&gt;") == 3
    assert html.count("changed or gone") == 1
    assert html.count("unchanged, now at line 999") == 1
    assert re.findall(r'<tr class="comment" id="(.*?)"', html) == ["asked-1"]
    assert 'href="#asked-1"' in html
    assert html.count("&lt;i&gt;") == 4
    split = operator.get("/approvals/7?view=split").text
    assert re.findall(r'<tr class="comment" id="(.*?)"', split) == ["asked-1"]


def test_the_queue_is_filtered(operator: Operator) -> None:
    html = operator.get("/approvals?state=denied&agent=bob").text
    assert re.findall(r'data-testid="approval" data-id="(\d+)"', html) == ["5"]
    everything = operator.get("/approvals?state=&agent=").text
    assert len(re.findall(r'data-testid="approval"', everything)) == 3
    assert operator.get("/approvals?state=<b>&agent=<i>").status_code == 200


def test_older_ones_are_on_further_pages(operator: Operator) -> None:
    known = operator.hive.approvals
    known.clear()
    for number in range(205, 0, -1):
        known[number] = data.detail(data.summary(number))
    newest = operator.get("/approvals").text
    assert 'data-id="6"' in newest
    assert 'data-id="5"' not in newest
    assert 'href="/approvals?before=6"' in newest
    oldest = operator.get("/approvals?before=6").text
    assert 'data-id="5"' in oldest
    assert 'data-id="6"' not in oldest
    assert 'rel="next"' not in oldest


def test_notes_of_the_evaluation_are_shown(operator: Operator) -> None:
    note = PolicyChange(
        option="agent.nix",
        effect=Effect.NEUTRAL,
        sentence="Nix warns: the option \u202eold is \x1b[31mgone",
        before=None,
        after=None,
    )
    hive = operator.hive
    before = hive.approvals[7]
    hive.approvals[7] = msgspec.structs.replace(before, policy=(*before.policy, note))
    html = operator.get("/approvals/7").text
    assert "Nix warns: the option \u2039U+202E\u203aold is \u241b[31mgone" in html


def test_the_next_times_of_a_schedule(operator: Operator) -> None:
    hive = operator.hive
    assert 'data-testid="schedule"' not in operator.get("/approvals/7").text
    daily = ScheduleView(
        name="morning",
        at="08:00",
        message="<b>Report</b>",
        next_at=(1.0, 2.0),
        times=("Mon 2026-11-30 08:00 CET", "Tue 2026-12-01 08:00 CET"),
    )
    gone = ScheduleView(name="once", at="2020-01-01", message="", next_at=(), times=())
    hive.approvals[7] = msgspec.structs.replace(
        hive.approvals[7], schedule=(daily, gone)
    )
    html = operator.get("/approvals/7").text
    assert "Next: Mon 2026-11-30 08:00 CET, Tue 2026-12-01 08:00 CET" in html
    assert "It never occurs again." in html
    assert "&lt;b&gt;Report&lt;/b&gt;" in html


def test_bases_that_show_the_same_are_one_tab(operator: Operator) -> None:
    hive = operator.hive
    html = operator.get("/approvals/7").text
    for base in DiffBase:
        assert f'data-testid="base-{base}"' in html
    running, approved, _ = hive.approvals[7].diffs
    same = msgspec.structs.replace(running, base=DiffBase.PREVIOUS)
    hive.approvals[7] = msgspec.structs.replace(
        hive.approvals[7], diffs=(running, approved, same)
    )
    html = operator.get("/approvals/7?base=previous").text
    assert 'data-testid="base-running" aria-current="page"' in html
    assert 'data-testid="base-previous"' not in html
    hive.approvals[7] = msgspec.structs.replace(
        hive.approvals[7], diffs=(running, same)
    )
    assert 'aria-label="Compare with"' not in operator.get("/approvals/7").text


def test_a_restore_is_compared_with_what_was_deployed_last(operator: Operator) -> None:
    assert "Compared with the deployed version" in operator.get("/approvals/7").text
    operator.hive.set_approval(7, kind=ApprovalKind.RESTORE)
    html = operator.get("/approvals/7").text
    assert "Compared with the version deployed last" in html


def test_a_file_without_changed_lines_counts_none(operator: Operator) -> None:
    renamed = msgspec.structs.replace(
        data.file_diff("new.nix", "", ""),
        old_path="old.nix",
        status=FileStatus.RENAMED,
    )
    for file in (data.binary("logo.png"), renamed):
        show_diff(operator.hive, file)
        assert "+0" not in operator.get("/approvals/7").text
    assert operator.get("/approvals/7").text.count("old.nix → new.nix") == 2
