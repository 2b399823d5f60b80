"""Errors told in one line each, with the right exit code and without credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import CommandError, explain, without_credentials
from edge.errors import ConfigError, OutboxError, Problem
from models.errors import ManifestError
from streams.errors import OpenError, SourceUrlError

WORD = st.text(st.characters(categories=("L", "N"), include_characters="!$%&*()-_=+;:,.?/#@"), min_size=1)


@given(user=WORD, password=WORD, host=st.from_regex(r"[a-z0-9.]{1,20}", fullmatch=True))
def test_no_credentials_are_left(user: str, password: str, host: str) -> None:
    told = without_credentials(f"cannot open rtsp://{user}:{password}@{host}/live: timed out")
    assert told == f"cannot open rtsp://{host}/live: timed out"


@pytest.mark.parametrize("text", ["no URL here", "mail to a@b.c", "http://127.0.0.1:8080/ is fine", ""])
def test_other_text_stays(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize(
    ("error", "lines", "code"),
    [
        (CommandError("no such camera", 2), ["no such camera"], 2),
        (ConfigError([Problem("a.yaml", 3, "cameras[0].id", "bad"), Problem("a.yaml", None, "", "worse")]),
         ["a.yaml:3: cameras[0].id: bad", "a.yaml: worse"], 2),
        (SourceUrlError("scheme 'ftp' is not allowed"), ["scheme 'ftp' is not allowed"], 2),
        (OpenError("rtsp://u:p@h: refused"), ["rtsp://h: refused"], 1),
        (OutboxError("disk full"), ["disk full"], 1),
        (ManifestError("no model 'x'"), ["no model 'x'"], 1),
        (FileNotFoundError(2, "No such file", "/nowhere"), ["/nowhere: No such file"], 1),
        (RuntimeError("redis://u:p@h"), ["defect, RuntimeError: redis://h (--debug shows where)"], 1),
    ],
)  # fmt: skip
def test_each_error_in_its_words(error: Exception, lines: list[str], code: int) -> None:
    assert explain(error) == (lines, code)
