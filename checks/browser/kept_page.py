"""A page that several tests of a module use, one after the other.

Each page that is not opened again saves 0.3 s of processor time. It is for tests that
leave it as they found it, or go on from there.
"""

import contextlib
from collections.abc import Iterator

from playwright.sync_api import Browser, Page

from checks.browser.kit import WAIT_MS
from checks.browser.tab import watched


@contextlib.contextmanager
def kept_page(browser: Browser) -> Iterator[Page]:
    """Open one with a profile of its own, which ``Profile.empty`` leaves alone.

    Errors of its scripts and of the policy fail the last test.
    """
    context = browser.new_context(service_workers="block", reduced_motion="reduce")
    context.set_default_timeout(WAIT_MS)
    with contextlib.closing(context):
        page = context.new_page()
        problems = watched(page)
        yield page
    assert not problems
