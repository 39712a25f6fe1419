"""Animations: a GIF always, an MP4 where ffmpeg is, and never half a film."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import animation

POSIX = pytest.mark.skipif(os.name == "nt", reason="the stand-in for ffmpeg is a shell script")
SIDE = (9, 6)  # width and height


def pictures(count: int) -> list[Image.Image]:
    shades = np.linspace(0, 255, count).astype(np.uint8)
    return [Image.fromarray(np.full((SIDE[1], SIDE[0], 3), shade)) for shade in shades]


def stand_in(folder: Path, script: str) -> str:
    """A PATH with nothing on it but a program ffmpeg, in Python."""
    program, body = folder / "ffmpeg", folder / "ffmpeg.py"
    body.write_text(f"import sys\n{script}\n", "utf-8")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{body}" "$@"\n', "utf-8")  # paths with spaces
    program.chmod(0o755)
    return str(folder)


def test_a_gif_has_every_picture_and_rests_on_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert animation.write(tmp_path / "grey", pictures(5), fps=10) == [tmp_path / "grey.gif"]
    with Image.open(tmp_path / "grey.gif") as film:
        shown, durations = [], []
        for k in range(film.n_frames):
            film.seek(k)
            shown.append(int(np.asarray(film.convert("L")).mean()))
            durations.append(film.info["duration"])
    assert shown == sorted(shown)
    assert len(set(shown)) == 5
    assert durations == [100, 100, 100, 100, 2000]


@POSIX
def test_ffmpeg_gets_every_picture_and_its_film_stands_beside_the_gif(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = "open(sys.argv[-1], 'wb').write(' '.join(sys.argv).encode() + b'|' + sys.stdin.buffer.read())"
    monkeypatch.setenv("PATH", stand_in(tmp_path, keep))
    written = animation.write(tmp_path / "grey", pictures(3), fps=4)
    assert written == [tmp_path / "grey.gif", tmp_path / "grey.mp4"]
    command, _, frames = written[1].read_bytes().partition(b"|")
    assert b"9x6" in command
    assert b"yuv420p" in command
    assert len(frames) == (3 + 2 * 4) * 9 * 6 * 3  # the last one stays for two seconds
    assert frames == b"".join(p.tobytes() for p in pictures(3)) + 8 * pictures(3)[-1].tobytes()


@POSIX
@pytest.mark.parametrize("script", ["open(sys.argv[-1], 'wb').write(b'half'); sys.exit(1)", "sys.exit(1)"])
def test_an_ffmpeg_that_fails_leaves_the_gif_and_no_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setenv("PATH", stand_in(tmp_path, script))
    many = 300 * pictures(3)  # more than a pipe holds: it breaks
    assert animation.write(tmp_path / "grey", many, fps=4) == [tmp_path / "grey.gif"]
    assert not (tmp_path / "grey.mp4").exists()
