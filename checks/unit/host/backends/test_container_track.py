"""The meaning of a unit's states, in the order of systemd 252 and 257."""

from typing import Any

from pyglue.host.backends.track import Change, Report, Track, UnitState

RUN, NEXT, THIRD = "a" * 32, "b" * 32, "c" * 32


def state(active: str, sub: str, run: str = RUN, **values: Any) -> UnitState:
    return UnitState(active=active, sub=sub, invocation=run, **values)


def running(run: str = RUN, restarts: int = 0) -> UnitState:
    return state("active", "running", run, restarts=restarts)


def take(track: Track, *states: UnitState, settled: bool = False) -> list[Report]:
    return [report for one in states for report in track.take(one, settled=settled)]


def changes(reports: list[Report]) -> list[tuple[Change, str]]:
    return [(one.change, one.run) for one in reports]


def started() -> Track:
    track = Track()
    track.starting()
    assert changes(take(track, running())) == [(Change.STARTED, RUN)]
    return track


KILLED: dict[str, Any] = {"result": "exit-code", "exit_code": 1, "exit_status": 1}


def test_a_crash_is_told_once_and_the_next_run_begins() -> None:
    reports = take(
        started(),
        state("deactivating", "stop-sigterm", **KILLED),
        state("failed", "failed", **KILLED),
        state("activating", "auto-restart", **KILLED),
        state("activating", "auto-restart", restarts=1, **KILLED),
        state("inactive", "dead", NEXT, restarts=1),
        state("activating", "start", NEXT, restarts=1),
        running(NEXT, 1),
        running(NEXT, 1),
    )
    assert changes(reports) == [(Change.CRASHED, RUN), (Change.STARTED, NEXT)]
    assert reports[0].why == "Its container exited with code 1."


def test_a_crash_as_systemd_257_names_it() -> None:
    reports = take(
        started(),
        state("failed", "failed-before-auto-restart", **KILLED),
        state("activating", "auto-restart-queued", restarts=1, **KILLED),
        settled=True,
    )
    assert changes(reports) == [(Change.CRASHED, RUN)]


def test_signals_that_were_merged_into_one_still_tell_of_the_crash() -> None:
    reports = take(started(), running(NEXT, 1))
    assert changes(reports) == [(Change.CRASHED, RUN), (Change.STARTED, NEXT)]


def test_a_restart_by_somebody_is_no_crash() -> None:
    assert changes(take(started(), running(NEXT))) == [(Change.STARTED, NEXT)]


def test_a_reboot_from_inside_is_no_end() -> None:
    reboot: dict[str, Any] = {"exit_code": 1, "exit_status": 133}
    reports = take(
        started(),
        state("deactivating", "stop-sigterm"),
        state("inactive", "dead", **reboot),
        state("activating", "auto-restart", **reboot),
        state("activating", "auto-restart", restarts=1, **reboot),
        state("inactive", "dead", NEXT, restarts=1),
        state("activating", "start", NEXT, restarts=1),
        running(NEXT, 1),
    )
    assert changes(reports) == [(Change.STARTED, NEXT)]


def test_a_power_off_is_told_and_a_stop_of_the_hive_is_asked() -> None:
    end = (state("deactivating", "stop-sigterm"), state("inactive", "dead"))
    (report,) = take(started(), *end)
    assert (report.change, report.run) == (Change.STOPPED, RUN)
    assert "stopped from outside" in report.why
    track = started()
    track.asked = True
    (report,) = take(track, *end)
    assert report.why == "Stopped by the hive."


def test_a_kill_that_the_hive_asked_for_is_a_stop() -> None:
    track = started()
    track.asked = True
    killed: dict[str, Any] = {"result": "signal", "exit_code": 2, "exit_status": 9}
    reports = take(
        track,
        state("deactivating", "final-sigkill", **killed),
        state("failed", "failed", **killed),
        settled=True,
    )
    assert changes(reports) == [(Change.STOPPED, RUN)]


def test_a_restart_loop_is_one_crash_and_one_giving_up() -> None:
    track = started()
    killed: dict[str, Any] = {"result": "signal", "exit_code": 2, "exit_status": 9}
    reports = take(track, state("failed", "failed", **killed))
    for count in range(1, 6):
        reports += take(
            track,
            state("activating", "auto-restart", restarts=count, **KILLED),
            state("activating", "start", NEXT, restarts=count),
            state("failed", "failed", NEXT, restarts=count, **KILLED),
        )
    limit = state("failed", "failed", NEXT, restarts=5, result="start-limit-hit")
    reports += take(track, limit, settled=True)
    reports += take(track, limit, settled=True)
    assert changes(reports) == [(Change.CRASHED, RUN), (Change.GAVE_UP, RUN)]
    assert "killed by SIGKILL" in reports[0].why
    assert "5 times" in reports[1].why
    track.starting()
    assert changes(take(track, running(THIRD))) == [(Change.STARTED, THIRD)]


def test_a_start_that_fails_is_told() -> None:
    track = Track()
    track.starting()
    reports = take(
        track,
        state("inactive", "dead", RUN),
        state("activating", "start", RUN),
        state("failed", "failed", RUN, result="protocol"),
    )
    assert changes(reports) == [(Change.CRASHED, RUN)]


def test_what_ended_before_this_hived_is_told_after_it_looked() -> None:
    for seen, expected in (
        (running(), []),
        (running(NEXT, 1), [Change.CRASHED, Change.STARTED]),
        (running(NEXT, 0), [Change.STARTED]),
        (state("inactive", "dead"), [Change.STOPPED]),
        (state("failed", "failed", NEXT, **KILLED), [Change.CRASHED, Change.GAVE_UP]),
    ):
        reports = take(Track(last_run=RUN), seen, settled=True)
        assert [one.change for one in reports] == expected


def test_a_unit_that_was_never_seen_running_has_not_crashed() -> None:
    assert take(Track(), state("inactive", "dead", ""), settled=True) == []
    failed = state("failed", "failed", **KILLED)
    assert [t.change for t in take(Track(), failed, settled=True)] == [Change.GAVE_UP]


def test_memory_is_named_as_the_cause() -> None:
    (report,) = take(started(), state("failed", "failed", result="oom-kill"))
    assert "memory" in report.why
