"""Text to learn from: tiny Shakespeare, one file of the plays, and the part of it that ships with the course.

Source: Karpathy 2015, char-rnn, https://github.com/karpathy/char-rnn; the text is in the public domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curriculum.datasets import store
from curriculum.datasets.store import Resource, say

if TYPE_CHECKING:
    from rich.console import Console

TINY_SHAKESPEARE = Resource(
    "tinyshakespeare/input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
)


@dataclass(frozen=True)
class Text:
    """A text.

    Attributes:
        name: what it is, for a title.
        complete: False for the part that ships with the course.
        characters: the text; lines end in a newline whatever the platform.
    """

    name: str
    complete: bool
    characters: str

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The characters that occur, in the order of their code points."""
        return tuple(sorted(set(self.characters)))


def tiny_shakespeare(*, console: Console | None = None, fallback: bool = True) -> Text:
    """Tiny Shakespeare: 1,115,394 characters, 65 different ones.

    Args:
        console: where the line that says what is done goes, and the progress bar; default: standard error.
        fallback: without the file and without a network, return `shakespeare_excerpt` and say so.

    Raises:
        DataError: the file is damaged.
        Unavailable: the file is not to be had, and ``fallback`` is False.
    """
    console = console or store.stderr()
    if not store.present((TINY_SHAKESPEARE,)):
        say(
            console,
            f"Tiny Shakespeare: downloading one file, 1 MB, to {store.directory() / 'tinyshakespeare'}",
        )
    try:
        content = store.read(TINY_SHAKESPEARE, console)
    except store.Unavailable as error:
        if not fallback:
            raise
        excerpt = shakespeare_excerpt()
        size = f"{len(excerpt.characters):,} characters"
        say(console, f"Tiny Shakespeare: {error}. Using the excerpt that ships with the course: {size}.")
        return excerpt
    text = Text("tiny Shakespeare", True, content.decode("ascii"))
    say(
        console,
        f"Tiny Shakespeare: {len(text.characters):,} characters from {store.directory() / 'tinyshakespeare'}",
    )
    return text


def shakespeare_excerpt() -> Text:
    """The first 2996 lines of tiny Shakespeare; always at hand."""
    characters = Path(__file__).with_name("shakespeare.txt").read_text("ascii")
    return Text("Shakespeare, an excerpt", False, characters)
