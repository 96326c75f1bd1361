"""Calendar expressions: the same results as systemd, and refusals."""

import os
import re
import subprocess
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyglue.clock import calendar_times
from pyglue.errors import ErrorCode, HiveError

BERLIN: Final = calendar_times.named_zone("Europe/Berlin")
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
_LINE: Final = re.compile(r"\s*(Next elapse|Iter\. #\d+|\(in UTC\)): (.*)")
_TIMES: Final = 4
_STEP: Final = re.compile(r"(\d+)(?:\.\.(\d+))?/(\d+)")


def ask(text: str, base: datetime, zone: str) -> "subprocess.CompletedProcess[str]":
    since = base.strftime("%Y-%m-%d %H:%M:%S UTC")
    return subprocess.run(
        [
            *("systemd-analyze", "calendar", f"--iterations={_TIMES}"),
            *("--base-time", since, "--", text),
        ],
        env={"PATH": os.environ["PATH"], "TZ": zone, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )


def systemd(text: str, base: datetime, zone: str) -> list[float] | None:
    """Return what systemd makes of an expression; None if it refuses it."""
    done = ask(text, base, zone)
    if done.returncode:
        return None
    found: list[str] = []
    for match in filter(None, map(_LINE.match, done.stdout.splitlines())):
        if match[1] == "(in UTC)":
            found.pop()
        found.append(match[2])
    form = "%a %Y-%m-%d %H:%M:%S UTC"
    return [
        datetime.strptime(one, form).replace(tzinfo=UTC).timestamp()
        for one in found
        if one != "never"
    ]


def ours(text: str, base: datetime, zone: str) -> list[float] | None:
    try:
        found = calendar_times.parse(text, calendar_times.named_zone(zone))
    except HiveError:
        return None
    return list(found.upcoming(base.timestamp(), _TIMES))


_DAYS: Final = ("Mon", "tue", "Wednesday", "Thu", "FRI", "Sat", "Sun")


def _component(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(lambda n: f"{n:02d}") | st.integers(
        low, high
    ).map(str)
    step = st.integers(0, 20)
    term = st.one_of(
        number,
        st.tuples(number, number).map("..".join),
        st.tuples(number, step).map(lambda it: f"{it[0]}/{it[1]}"),
        st.tuples(number, number, step).map(lambda it: f"{it[0]}..{it[1]}/{it[2]}"),
    )
    several = st.lists(term, min_size=1, max_size=3).map(",".join)
    return st.just("*") | several | term | number


def _expressions() -> st.SearchStrategy[str]:
    day = st.sampled_from(_DAYS)
    days = st.one_of(
        day,
        st.tuples(day, st.sampled_from(["..", ",", "-"]), day).map("".join),
        st.lists(day, min_size=1, max_size=4).map(",".join),
    )
    year = st.sampled_from(["*-", "", "2026-", "2027..2030-", "2028/4-", "26-"])
    dates = st.tuples(
        year, _component(1, 12), st.sampled_from("---~"), _component(1, 31)
    ).map("".join)
    times = st.tuples(_component(0, 23), _component(0, 59)).map(":".join)
    exact = st.tuples(times, _component(0, 59)).map(":".join)
    zone = st.sampled_from([*ZONES, "Asia/Kolkata", "Nowhere/Else"])
    nothing = st.just("")
    parts = st.tuples(
        nothing | days, nothing | dates, nothing | times | exact, nothing | zone
    ).map(lambda four: " ".join(filter(None, four)))
    words = st.sampled_from(
        [
            *("minutely", "hourly", "daily", "weekly", "monthly", "quarterly"),
            *("yearly", "annually", "anually", "semiannually", "semi-annually"),
            *("biannually", "bi-annually", "Daily", "daily Europe/Berlin", "fortnight"),
        ]
    )
    return parts.filter(bool) | words


_BASES: Final = st.one_of(
    st.datetimes(datetime(2025, 1, 1), datetime(2029, 1, 1)),  # noqa: DTZ001
    st.sampled_from(  # around the hours that come twice, or not at all
        [
            datetime(2026, month, day, hour, minute)  # noqa: DTZ001
            for (month, day), hour, minute in product(
                [(3, 29), (10, 25), (10, 24), (3, 8), (11, 1), (4, 4)],
                [0, 1, 4, 5, 6, 14, 15, 22, 23],
                [0, 1, 29, 30, 59],
            )
        ]
    ),
).map(lambda base: base.replace(microsecond=0, tzinfo=UTC))


@pytest.mark.needs("systemd-analyze")
@settings(max_examples=300)
@given(text=_expressions(), base=_BASES, zone=st.sampled_from(ZONES))
def test_what_is_accepted_means_what_systemd_says(
    text: str, base: datetime, zone: str
) -> None:
    inside = text.split()[-1] if "/" in text.split()[-1] else zone
    assume(not any(_second_pass(base, name) for name in (zone, inside)))
    accepted = ours(text, base, zone)
    if accepted is not None:
        found = systemd(text, base, zone)
        assert (
            found == accepted
            or _gave_up(text, base, zone)
            or systemd(_in_full(text), base, zone) == accepted
        )


def _second_pass(base: datetime, zone: str) -> bool:
    """Asked within an hour that comes twice, systemd has its times once more."""
    try:
        return base.astimezone(calendar_times.named_zone(zone)).fold == 1
    except HiveError:
        return False


def _gave_up(text: str, base: datetime, zone: str) -> bool:
    """Some of systemd's look-ups end in an error of its own: EDEADLK."""
    return "Resource deadlock avoided" in ask(text, base, zone).stderr


def _in_full(text: str) -> str:
    """List what steps lead to: with steps, systemd 252 leaves out the first at times.

    After the end of a month, ``00/13:00`` has no 00:00 on the first day and
    ``*-*-01/11`` no first day; ``00,13:00`` and ``*-*-01,12,23`` have them.
    """

    def listed(part: str, last: int) -> str:
        def steps(found: "re.Match[str]") -> str:
            first, end, step = int(found[1]), int(found[2] or last), int(found[3])
            return ",".join(f"{n:02d}" for n in range(first, end + 1, step or end))

        return _STEP.sub(steps, part)

    def field(text: str) -> str:
        if ":" in text:
            return ":".join(map(listed, text.split(":"), (23, 59, 59)))
        if not text[0].isdigit() and text[0] != "*":
            return text
        *year, month, dash, day = re.split("([-~])", text)
        return "".join((*year, listed(month, 12), dash, listed(day, 31)))

    return " ".join(map(field, text.split()))


COMMON: Final = [
    "Mon..Fri 08:00",
    "Mon,Wed,Fri 18:30",
    "Sat,Sun 10:00",
    "*-*-01 06:30",
    "*-*~1 17:00",
    "*-*~28,28",
    "*-*~22,19,16",
    "Mon *-05~7/1",
    "hourly",
    "daily",
    "*:0/15",
    "09..17:00",
    "*-*-* 02:30:00",
    "Fri 17:00 America/New_York",
    "2027-01-01 00:00 UTC",
    "quarterly",
    "12-24 18:00",
]


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("*-01/11-01/11", "*-01,12-01,12,23"),
        (
            "Mon..Fri 2027-*-3..9/3 00/13:*:30/20 UTC",
            "Mon..Fri 2027-*-03,06,09 00,13:*:30,50 UTC",
        ),
        ("00/13:00", "00,13:00"),
    ],
)
def test_the_first_steps_of_a_month_are_not_left_out(text: str, listed: str) -> None:
    """Where systemd 252 is wrong; newer ones may not be."""
    base = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert _in_full(text) == listed
    assert ours(text, base, "UTC") == systemd(listed, base, "UTC")


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("text", COMMON)
@pytest.mark.parametrize("zone", ZONES)
def test_what_people_write_is_accepted(text: str, zone: str) -> None:
    base = datetime(2026, 10, 24, 12, tzinfo=UTC)
    if text == "Mon *-05~7/1":  # counted from the end: not ours
        assert ours(text, base, zone) is None
        return
    found = ours(text, base, zone)
    assert found and found == systemd(text, base, zone)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "x",
            "8",
            "24:00",
            "12:60",
            "12:00:60",
            "Fri..Mon 08:00",
            "*-13-01",
            "*-*-32",
        ),
        *(
            "08:*/90",
            "21/12:00",
            "12..13/2:00",
            "*:*:*/2",
            "Mon,,Tue",
            "1-2-3-4",
            "a..b",
        ),
        *("@1234567", "08:00:00.5", "2026-11-29T08:00", "*-*-~1", "*-*~1/2", "*-*~30"),
        *("*-*~29", "*-*~01,26", "*-*~26,01", "*-*~22,23,24", "*-*~1..3"),
        *("+5min", "-", "*", "08:00 08:00", "0/0:00"),
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(HiveError, match=r"Invalid time .*Mon\.\.Fri 08:00") as caught:
        calendar_times.parse(text, BERLIN)
    assert caught.value.code is ErrorCode.MANIFEST_INVALID


@pytest.mark.parametrize(
    "zone", ["Berlin", "Europe", "Sat", "Europe/../../etc", "tzdata.zi", "Europe/"]
)
def test_an_unknown_time_zone_is_named(zone: str) -> None:
    with pytest.raises(HiveError, match="There is no time zone"):
        calendar_times.parse(f"Mon 08:00 {zone}", BERLIN)


def test_an_hour_that_comes_twice_wakes_once_and_one_that_never_comes_is_left_out() -> (
    None
):
    night = calendar_times.parse("02:30", BERLIN)
    before = datetime(2026, 10, 25, 0, 0, tzinfo=UTC).timestamp()
    assert [night.say(at) for at in night.upcoming(before, 2)] == [
        "Sun 2026-10-25 02:30 CEST",
        "Mon 2026-10-26 02:30 CET",
    ]
    second = datetime(2026, 10, 25, 1, 10, tzinfo=UTC).timestamp()  # 02:10, again
    assert night.say(night.upcoming(second, 1)[0]) == "Mon 2026-10-26 02:30 CET"
    spring = datetime(2026, 3, 28, 12, 0, tzinfo=UTC).timestamp()
    assert [night.say(at) for at in night.upcoming(spring, 2)] == [
        "Mon 2026-03-30 02:30 CEST",
        "Tue 2026-03-31 02:30 CEST",
    ]


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("08:00", 86400),
        ("Mon 08:00,10", 600),
        ("hourly", 3600),
        ("*:0/5", 300),
        ("*:*:*", 1),
        ("00,23:00", 3600),
        ("*-01-01 00,23:00,59", 60),
    ],
)
def test_the_least_time_between_two(text: str, least: int) -> None:
    assert calendar_times.parse(text, BERLIN).least_s == least


def test_what_never_comes() -> None:
    never = calendar_times.parse("*-02-30", BERLIN)
    assert never.after(0.0) is None
    assert calendar_times.parse("2020-01-01", BERLIN).after(1.8e9) is None


def test_the_zone_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Kolkata")
    monkeypatch.setattr(calendar_times, "_LOCALTIME", link)
    monkeypatch.setenv("TZ", ":Europe/Berlin")
    assert calendar_times.local_zone().key == "Europe/Berlin"
    monkeypatch.delenv("TZ")
    assert calendar_times.local_zone().key == "Asia/Kolkata"
    copy = link.resolve().read_bytes()
    link.unlink()
    link.write_bytes(copy)  # as in many containers
    zone = calendar_times.local_zone()
    assert calendar_times.written(0.0, zone) == "Thu 1970-01-01 05:30 IST"
    link.unlink()
    assert calendar_times.local_zone().key == "UTC"
