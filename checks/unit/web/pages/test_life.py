"""The life of agents: proposals, drafts, kept state."""

import pytest
from msgspec.structs import replace

from checks.kits.web import data as data
from checks.kits.web.app import Operator
from pyglue.api.approvals import ApprovalKind, ApprovalState
from pyglue.api.lifecycle import PurgeParams
from pyglue.api.operations import (
    CancelOperationParams,
    OperationKind,
    OperationState,
)


def test_spawning_leads_to_the_approval(operator: Operator) -> None:
    form = {"name": "erin", "description": "Writes the changelog"}
    answer = operator.post("/agents/spawn", form)
    assert (answer.status_code, answer.location) == (303, "/approvals/8")
    assert "New agent" in operator.get("/approvals/8").text


@pytest.mark.parametrize("name", ["", "Erin", "manager", "operator", "-x", "x" * 10])
def test_a_name_that_cannot_be_is_refused(operator: Operator, name: str) -> None:
    answer = operator.post("/agents/spawn", {"name": name, "description": ""})
    assert answer.status_code == 400
    assert not operator.hive.called("spawn")


def test_nothing_is_shown_of_what_there_is_not(operator: Operator) -> None:
    for name in ("kept", "drafts"):
        assert operator.get(f"/fragments/{name}").text.strip() == ""


def test_kept_state_comes_after_what_needs_somebody(operator: Operator) -> None:
    operator.hive.kept = [
        data.kept("olga"),
        data.kept("pete", commit=None, messages=0),
        data.kept("quin", pending_approval=7),
    ]
    page = operator.get("/").text
    assert page.index("Needs you") < page.index('id="agents"')
    assert page.index('id="agents"') < page.index("olga")
    assert "2 queued messages" in page and "3.2 MiB kept" in page
    assert page.count("/restore") == 1
    assert page.count("/purge") == 3


def test_restoring_leads_to_the_approval(operator: Operator) -> None:
    answer = operator.post("/kept/olga/restore")
    assert (answer.status_code, answer.location) == (303, "/approvals/8")
    assert operator.hive.called("restore")[0].agent == "olga"


def test_purging_repeats_the_name(operator: Operator) -> None:
    for said in (" ", "pete", "Olga", "o" * 65):
        answer = operator.post("/kept/olga/purge", {"confirm": said})
        assert answer.status_code in (400, 413)
    assert not operator.hive.called("purge")
    assert operator.post("/kept/olga/purge", {"confirm": "olga"}).status_code == 303
    assert operator.hive.called("purge") == [PurgeParams(agent="olga", confirm="olga")]


def test_a_draft_says_where_its_files_are(operator: Operator) -> None:
    operator.hive.drafts = [data.draft("rita")]
    assert "<code>/agents/rita/config</code>" in operator.get("/drafts/rita").text
    operator.hive.drafts = [data.draft("rita", pending_approval=7)]
    page = operator.get("/drafts/rita").text
    assert 'href="/approvals/7#h-files"' in page and "/config" not in page


def test_discarding_a_draft(operator: Operator) -> None:
    operator.hive.drafts = [data.draft("rita")]
    page = operator.get("/").text
    assert "Will answer questions about releases" in page
    assert operator.post("/drafts/rita/discard").status_code == 303
    assert operator.hive.called("draft_discard")[0].agent == "rita"


@pytest.mark.parametrize(
    "path", ["/kept/A/restore", "/kept/x_y/purge", "/drafts/1/discard"]
)
def test_what_is_no_name_is_refused(operator: Operator, path: str) -> None:
    assert operator.post(path, {"confirm": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("step", "state", "offered"),
    [
        ("build", OperationState.RUNNING, True),
        ("", OperationState.QUEUED, True),
        ("apply", OperationState.RUNNING, False),
        ("build", OperationState.FAILED, False),
    ],
)
def test_cancelling_is_offered_where_it_is_possible(
    operator: Operator, step: str, state: OperationState, offered: bool
) -> None:
    found = operator.hive.operations[11]
    operator.hive.operations[11] = replace(found, step=step, state=state)
    page = operator.get("/operations/11").text
    assert ('action="/operations/11/cancel"' in page) == offered
    fragment = operator.get("/fragments/operation/11").text
    assert ('action="/operations/11/cancel"' in fragment) == offered


def test_cancelling_leads_back_to_the_operation(operator: Operator) -> None:
    answer = operator.post("/operations/11/cancel")
    assert (answer.status_code, answer.location) == (303, "/operations/11")
    assert operator.hive.called("cancel_operation") == [CancelOperationParams(id=11)]


def test_what_has_no_page_yet_is_not_linked(operator: Operator) -> None:
    operator.hive.set_approval(7, agent="erin", kind=ApprovalKind.SPAWN)
    for path in ("/approvals", "/approvals/7"):
        assert 'href="/agents/erin"' not in operator.get(path).text
    operator.hive.set_approval(7, state=ApprovalState.DEPLOYED)
    for path in ("/approvals", "/approvals/7"):
        assert 'href="/agents/erin"' in operator.get(path).text


def test_all_that_is_old_is_rebuilt_by_one_button(operator: Operator) -> None:
    assert 'action="/rebuild"' not in operator.get("/").text
    operator.hive.agents = [data.agent("erin", needs_update=True)]
    assert 'action="/rebuild"' in operator.get("/").text


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/agents/olga", "/kept/olga"),
        ("/agents/rita", "/drafts/rita"),
        ("/drafts/alice", "/agents/alice"),
        ("/drafts/olga", "/kept/olga"),
        ("/kept/alice", "/agents/alice"),
        ("/kept/rita", "/drafts/rita"),
    ],
)
def test_a_name_s_old_page_leads_to_its_page_now(
    operator: Operator, path: str, leads_to: str
) -> None:
    operator.hive.kept, operator.hive.drafts = [data.kept("olga")], [data.draft("rita")]
    answer = operator.get(path)
    assert (answer.status_code, answer.location) == (302, leads_to)
    assert operator.get(leads_to).status_code == 200


@pytest.mark.parametrize("place", ["agents", "drafts", "kept"])
def test_a_name_that_is_nowhere_leads_to_what_it_left(
    operator: Operator, place: str
) -> None:
    page = operator.get(f"/{place}/gone")
    assert page.status_code == 404
    assert 'href="/approvals?agent=gone"' in page.text
    assert 'href="/messages?agent=gone"' in page.text
    assert operator.get(f"/{place}/<b>gone").status_code == 400


def test_what_was_destroyed_is_linked_from_its_operation(operator: Operator) -> None:
    found = operator.hive.operations[11]
    for kind in OperationKind:
        operator.hive.operations[11] = replace(found, kind=kind, agent="olga")
        page = operator.get("/operations/11").text
        assert ('href="/kept/olga"' in page) == (kind is OperationKind.DESTROY)


def test_a_proposed_draft_is_only_among_the_approvals(operator: Operator) -> None:
    hive = operator.hive
    hive.drafts = [data.draft("rita"), data.draft("sven", pending_approval=7)]
    page = operator.get("/").text
    assert 'href="/drafts/rita"' in page
    assert "sven" not in page
    assert 'href="/approvals/7"' in operator.get("/drafts/sven").text
