"""Figures that all look alike: readable in grey, by the colour-blind, and on a white page.

Colours are those of Okabe and Ito; what differs in colour differs in line style or marker too. Figures are
made without pyplot, so that there is no global figure, no window and no backend to choose.

Source: Okabe & Ito 2008, "Color Universal Design"; Wong 2011, "Color blindness", Nature Methods 8:441.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE)
TWO_CLASSES = (BLUE, ORANGE)  # far apart in grey, too
LINES = ("-", "--", "-.", ":", (0, (5, 1)))
MARKERS = ("o", "^", "s", "D", "v")
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "savefig.dpi": 150,
}


@contextmanager
def figure(
    title: str, *, rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 4.4
) -> Iterator[tuple[Figure, np.ndarray]]:
    """A figure in the shared style and its axes, an array (rows, columns).

    Args:
        title: one line above everything.
        rows: of axes.
        columns: of axes.
        width: inches.
        height: inches.
    """
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        drawn = Figure(figsize=(width, height), layout="constrained")
        drawn.suptitle(title, x=0.01, ha="left", fontweight="bold")
        yield drawn, drawn.subplots(rows, columns, squeeze=False)


def curve(axes: Axes, x: np.ndarray, y: np.ndarray, label: str, index: int = 0, marker: str = "") -> None:
    """One line in the colour and style of its index, labelled at its end rather than in a box."""
    axes.plot(x, y, color=COLORS[index % len(COLORS)], linestyle=LINES[index % len(LINES)], marker=marker)
    axes.annotate(label, (x[-1], y[-1]), xytext=(4, 0), textcoords="offset points", va="center")


def level(axes: Axes, y: float, label: str) -> None:
    """A thin line at a height that means something: a goal, a bound."""
    axes.axhline(y, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.annotate(
        label, (0.0, y), xycoords=("axes fraction", "data"), xytext=(4, 3), textcoords="offset points"
    )


def caption(drawn: Figure, text: str) -> None:
    """Below everything: what may, and may not, be concluded from the figure."""
    lines = textwrap.fill(text, int(14.0 * drawn.get_figwidth()))  # letters that fit at this size
    drawn.supxlabel(lines, x=0.01, ha="left", fontsize=8, color="0.25", linespacing=1.4)


def contours(axes: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray, levels: np.ndarray) -> None:
    """Level lines over shades of grey, dark is high; ``values`` (len(y), len(x)), ``levels`` on a log scale.

    Args:
        axes: where to draw.
        x: the horizontal coordinate of each column.
        y: the vertical coordinate of each row.
        values: positive.
        levels: increasing.
    """
    shown = np.clip(values, levels[0], levels[-1])
    axes.contourf(x, y, shown, levels=levels, norm=LogNorm(levels[0], levels[-1]), cmap="Greys", alpha=0.5)
    lines = axes.contour(x, y, shown, levels=levels[1:-1:2], colors="0.45", linewidths=0.6)
    axes.clabel(lines, fmt="%.2g", fontsize=6)
    axes.grid(False)


def regions(
    axes: Axes, points: np.ndarray, labels: np.ndarray, score: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Points in the plane, and where a binary classifier's score changes sign.

    Args:
        axes: where to draw.
        points: (N, 2).
        labels: (N,), 0 or 1.
        score: from (M, 2) to (M,): positive where class 1 is predicted, log-odds for the probability lines.
    """
    low, high = points.min(axis=0) - 0.4, points.max(axis=0) + 0.4
    x, y = np.meshgrid(np.linspace(low[0], high[0], 240), np.linspace(low[1], high[1], 240))  # (240, 240)
    log_odds = score(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape)
    probability = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -50.0, 50.0)))
    shades = ListedColormap(["#cfe3f2", "#e7f0f8", "#fbf1dd", "#f7dfae"])
    axes.contourf(x, y, probability, levels=[0.0, 0.1, 0.5, 0.9, 1.0], cmap=shades)
    axes.contour(x, y, probability, levels=[0.1, 0.5, 0.9], colors="black", linewidths=[0.6, 1.6, 0.6],
                 linestyles=["dotted", "solid", "dotted"])  # fmt: skip
    for k in (0, 1):
        chosen = points[labels == k]
        style = {"marker": MARKERS[k], "edgecolors": "black", "linewidths": 0.4}
        axes.scatter(chosen[:, 0], chosen[:, 1], s=16, c=TWO_CLASSES[k], label=f"class {k}", **style)
    axes.set(xlabel="x", ylabel="y", aspect="equal")
    axes.grid(False)
    axes.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="none")


def confusion(axes: Axes, counts: np.ndarray, classes: Sequence[str]) -> None:
    """A confusion matrix, with shades for the mistakes only: the diagonal would drown them.

    Args:
        axes: where to draw.
        counts: (K, K), row = true class, column = predicted class.
        classes: the K names.
    """
    mistakes = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    axes.imshow(mistakes, cmap="Greys", vmin=0, vmax=max(1, 2 * mistakes.max()))
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            weight = "bold" if row == column else "normal"
            axes.text(
                column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=8, weight=weight
            )
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.grid(False)


def pictures(axes: Axes, images: np.ndarray, captions: Sequence[str], columns: int) -> None:
    """Grey images in rows, each below its caption: one mosaic on one axes, as an axes each is slow to draw.

    Args:
        axes: where to draw.
        images: (N, H, W); bright is ink.
        captions: N texts of two lines.
        columns: images in a row.
    """
    n, height, width = images.shape
    above, between = height // 2, width // 4  # room for two lines of caption, and between columns
    rows = -(-n // columns)
    mosaic = np.zeros((rows * (height + above), columns * (width + between)), images.dtype)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = i // columns * (height + above) + above, i % columns * (width + between)
        mosaic[top : top + height, left : left + width] = image
        axes.text(left + width / 2, top - 1, caption, ha="center", va="bottom", fontsize=7, linespacing=1.1)
    axes.imshow(mosaic, cmap="Greys", vmin=0)
    axes.axis("off")
