"""The dashboard: one file ``dashboard.html`` a run, its data inside, that any browser opens from the disk.

    page.html  +  {"steps": {"loss": {"f4": "zczMPQ..."}}}   ->   dashboard.html

Arrays travel as the base64 of little-endian 32-bit numbers: exact for float32, a third larger than the
bytes, and read back at once where a list of decimals would be parsed digit by digit. While a run goes on,
``live.js`` beside the page carries the same data, as a call: a page from the disk may load a script but not
a file.

Both files appear whole or not at all: they are written beside and then moved into place.

Source: RFC 8259 (JSON); HTML Living Standard, section 4.12.1.3 (what the text of a script may not contain).
"""

from __future__ import annotations

import base64
import json
import math
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

TEMPLATE = Path(__file__).with_name("page.html")
LIVE = "live.js"


def encode(array: np.ndarray) -> dict[str, str]:
    """The numbers of an array, in C order, as the page reads them: {"f4": base64}, or {"i4": base64} of ints.

    Args:
        array: any shape; float, int or bool. A float beyond the range of float32 becomes infinite.

    Raises:
        ValueError: an int does not fit into 32 bits, or the array holds no numbers.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"an array of floats or ints can be shown, got one of type {array.dtype}")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # the loss of a run that diverged may be 1e200
            return {"f4": base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")}
    bound = np.iinfo(np.int32)
    if array.size and not bound.min <= array.min() <= array.max() <= bound.max:
        raise ValueError(f"ints of 32 bits can be shown, got some from {array.min()} to {array.max()}")
    return {"i4": base64.b64encode(array.astype("<i4").tobytes()).decode("ascii")}


def write(path: Path, data: dict, other: dict | None = None) -> None:
    """Write the dashboard of a run.

    Args:
        path: of the file, "runs/run_001/dashboard.html".
        data: the run: name, title, config, input, end, notes, box, train, plot, frames and steps.
        other: a second run of the same form, drawn dashed beside the first.
    """
    head, _, rest = TEMPLATE.read_text("utf-8").partition("{{run}}")
    between, _, tail = rest.partition("{{other}}")
    _replace(path, "".join((head, _json(data), between, _json(other), tail)))


def write_live(folder: Path, data: dict) -> None:
    """Write ``live.js``, which a page that is open beside it loads each second while the run goes on.

    Args:
        folder: where the run's ``dashboard.html`` is.
        data: as for ``write``. Once its ``end`` says anything but "running", the page loads its own file
            anew: write that first.
    """
    with suppress(PermissionError):  # Windows, while the page is reading it: the next second brings the next
        _replace(folder / LIVE, f"window.NEUROSCOPE_LIVE({_json(data)});\n")


def _json(value: object) -> str:
    """JSON in ASCII that can stand inside a script: without "<" there is no "</script>" and no "<!--"."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _plain(value: object) -> object:
    """The same with what JSON lacks put in other words: arrays encoded, NaN and infinity as text."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return encode(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, "utf-8", newline="\n")
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
