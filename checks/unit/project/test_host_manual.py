"""The manual page of the host's options can be shown by man."""

import re

from tools.generate_host_options import MANUAL, read_options, roff


def test_every_option_is_in_it_and_no_line_is_a_request_of_a_description() -> None:
    text = MANUAL.read_text()
    for option in read_options():
        assert f".B {roff(option['name'])}\n" in text
    requests = {line.split()[0] for line in text.splitlines() if line[:1] in (".", "'")}
    assert requests <= {".TH", ".SH", ".TP", ".B", ".IP", ".nf", ".fi"}
    assert text.count("\n.nf\n") == text.count("\n.fi\n") > 1


def test_what_means_something_to_man_is_shown_as_it_is() -> None:
    assert roff(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert roff("a\n'x") == "a\n\\&'x"
    assert roff("\\n(x `a-b`") == "\\en(x \\fBa\\-b\\fR"
    assert not re.search(r"(?<!\\)-", roff("--json"))
