"""Animations: a GIF always, and an MP4 beside it where ffmpeg is installed.

A GIF opens everywhere and repeats; an MP4 is a tenth of its size and can be paused.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

PAUSE = 2.0  # seconds that the last picture stays


def write(path: Path, pictures: Sequence[Image.Image], fps: int) -> list[Path]:
    """Write ``<path>.gif``, and ``<path>.mp4`` where there is a program ffmpeg.

    Args:
        path: without an ending.
        pictures: RGB, all of one size; at least one.
        fps: pictures a second.

    Returns:
        The files written, the GIF first.
    """
    written = [path.with_name(path.name + ".gif")]
    palette = _palette(pictures)  # one for all pictures: no flicker, and smaller files
    reduced = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in pictures]
    durations = [1000 // fps] * (len(reduced) - 1) + [round(1000 * PAUSE)]
    reduced[0].save(written[0], save_all=True, append_images=reduced[1:], duration=durations, loop=0)
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg:
        film = path.with_name(path.name + ".mp4")
        if _encode(ffmpeg, film, pictures, fps):
            written.append(film)
    return written


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """256 colours for all: those of a few pictures from the first to the last, one below the other."""
    chosen = [pictures[round(i * (len(pictures) - 1) / 4)] for i in range(5)]
    width, height = chosen[0].size
    sheet = Image.new("RGB", (width, 5 * height))
    for row, picture in enumerate(chosen):
        sheet.paste(picture, (0, row * height))
    return sheet.quantize(256)


def _encode(ffmpeg: str, film: Path, pictures: Sequence[Image.Image], fps: int) -> bool:
    """Whether ffmpeg made a film that common players show (H.264, even sides, 4:2:0) of the pictures."""
    width, height = pictures[0].size
    command = [ffmpeg, "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
               "-s", f"{width}x{height}", "-r", str(fps), "-i", "-",
               "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white", "-pix_fmt", "yuv420p",
               "-movflags", "+faststart", str(film)]  # fmt: skip
    frames = [*pictures, *[pictures[-1]] * round(PAUSE * fps)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as encoder:
        assert encoder.stdin is not None
        try:
            for picture in frames:
                encoder.stdin.write(picture.tobytes())
        except BrokenPipeError:  # it has ended: an ffmpeg without this encoder, or a full disk
            pass
        encoder.communicate()
    if encoder.returncode:
        film.unlink(missing_ok=True)
    return not encoder.returncode
