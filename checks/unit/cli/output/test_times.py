"""Expiry of a login link and an approval, as returned by hived."""

import msgspec
import pytest

from checks.kits.web import data
from pyglue.cli.output.show import approval_text
from pyglue.cli.output.times import within


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (600, "within 10 minutes"),
        (599.2, "within 10 minutes"),
        (3600, "within 60 minutes"),
        (61, "within a minute"),
        (0.5, "within a minute"),
    ],
)
def test_the_life_of_a_link_is_counted_from_its_end(left: float, says: str) -> None:
    assert within(1000 + left, now=1000) == says


def test_an_approval_says_when_it_expires() -> None:
    detail = data.detail(data.summary(7))
    assert "expires" not in approval_text(detail)
    pending = msgspec.structs.replace(detail, expires_at=86400.0)
    assert "expires   1970-01-02 00:00 UTC, without a decision" in approval_text(
        pending
    )
