"""The page about the wired network shows frames; they must be real ones."""

from __future__ import annotations

import re
from pathlib import Path

from test_hdlc import PUBLISHED
from test_security import VECTORS

from messwerk.lmn.hdlc import Frame, FrameDecoder

PAGE = (Path(__file__).parents[2] / "docs" / "lmn.md").read_text(encoding="utf-8")


def test_every_frame_on_the_page_is_a_published_one() -> None:
    """Each frame shown decodes as one whole frame and is among the vectors of the tests."""
    published = {bytes.fromhex(row[0]) for row in PUBLISHED}
    shown = [bytes.fromhex(text) for text in re.findall(r"`(7EA0[0-9A-F ]+)`", PAGE)]
    assert len(shown) == len(published)
    for octets in shown:
        assert [type(found) for found in FrameDecoder().receive(octets)] == [Frame]
        assert octets in published


def test_key_vectors_on_the_page() -> None:
    """The derived keys shown are those of the tests."""
    for _, _, encryption, authentication in VECTORS[:2]:
        assert encryption in PAGE
        assert authentication in PAGE


def test_program_on_the_page_runs() -> None:
    """The Python example works as it stands."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(program, {})  # noqa: S102, our own page
