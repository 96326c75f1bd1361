"""The system on an approval's page: its contents, and hostile names as text."""

import msgspec

from checks.kits.web.app import Operator
from checks.unit.cli.output.test_show_system import PACKAGES
from pyglue.api.approvals import ApprovalDetail
from pyglue.api.system import ClosureChange, ClosureDiff, PackageChange, SystemDetail


def give(operator: Operator, system: SystemDetail) -> None:
    approvals = operator.hive.approvals
    approvals[7] = msgspec.structs.replace(approvals[7], system=system)


SYSTEM = SystemDetail(
    drv="/nix/store/x-system.drv",
    nixpkgs="/nix/store/n",
    revision="r",
    packages=PACKAGES,
    toplevel=None,
    build_log="building <b>now</b>\n",
    closure=None,
)


def test_lists_packages_and_downloads(operator: Operator) -> None:
    give(operator, SYSTEM)
    for path in ("/approvals/7", "/fragments/approval/7/system"):
        page = operator.get(path).text
        assert "3 changed packages" not in page and "2 changed packages" in page
        assert "https://e.org/x.gz" in page and "no URL" in page
        assert "approval 3" in page and "1 more not listed" in page
        assert "building &lt;b&gt;now&lt;/b&gt;" in page


def test_hostile_names_are_text(operator: Operator) -> None:
    name = "<script>alert(1)</script>\u202e"
    change = PackageChange(name=name, before=("<i>",), after=("\x1b[2J",))
    packages = msgspec.structs.replace(PACKAGES, packages=(change,))
    give(operator, msgspec.structs.replace(SYSTEM, packages=packages))
    page = operator.get("/approvals/7").text
    assert "<script>alert" not in page and "<i>" not in page and "\x1b" not in page


def test_what_is_not_listed_needs_a_word(operator: Operator) -> None:
    give(operator, SYSTEM)
    assert (
        "some changes to the system are not listed" in operator.get("/approvals/7").text
    )


def test_shows_what_was_built(operator: Operator) -> None:
    change = ClosureChange(
        name="jq", before=("1.6",), after=("1.7",), bytes_before=2048, bytes_after=4096
    )
    closure = ClosureDiff(
        base=3, changes=(change,), bytes_before=1 << 20, bytes_after=3 << 20
    )
    built = msgspec.structs.replace(SYSTEM, closure=closure, toplevel="/nix/store/t")
    give(operator, built)
    page = operator.get("/approvals/7").text
    assert "1.0 MiB before, 3.0 MiB after" in page and "/nix/store/t" in page


def test_an_approval_without_a_system_has_no_such_part(operator: Operator) -> None:
    page = operator.get("/approvals/7")
    assert 'data-testid="system"' not in page.text
    assert operator.get("/fragments/approval/7/system").status_code == 404
    assert ApprovalDetail.__struct_defaults__  # ``system`` may be left out


def test_an_agent_of_an_older_hive_is_marked(operator: Operator) -> None:
    assert "needs update" not in operator.get("/").text
    agents = operator.hive.agents
    agents[:] = [msgspec.structs.replace(one, needs_update=True) for one in agents]
    assert "needs update" in operator.get("/").text
    assert "built with a different nixpkgs" in operator.get("/agents/alice").text
