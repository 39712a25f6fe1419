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
from matplotlib.colors import ListedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

BLUE, VERMILION, GREEN, PURPLE, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE)
TWO_CLASSES = (BLUE, ORANGE)  # far apart in grey, too
TEN_CLASSES = (*COLORS, "black", "#56B4E9", "#8C8C8C", "#7A3B00", "#A89B00")  # with a letter or marker each
COLORS_OF_CLASSES = (BLUE, ORANGE, GREEN, PURPLE, VERMILION)  # the first three far apart in grey
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
    slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(classes)), classes, **(slanted if max(map(len, classes)) > 3 else {}))
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.grid(False)


def pictures(axes: Axes, images: np.ndarray, captions: Sequence[str], columns: int) -> None:
    """Images in rows, each below its caption: one mosaic on one axes, as an axes each is slow to draw.

    Args:
        axes: where to draw.
        images: (N, H, W), bright is ink; or (N, 3, H, W), red, green and blue in [0, 255].
        captions: N texts of two lines.
        columns: images in a row.
    """
    n, *_, height, width = images.shape
    if images.ndim == 4:
        images = 255 - images.transpose(0, 2, 3, 1)  # (N, H, W, 3): as ink, so that paper is 0 here, too
    above, between = height // 2, width // 4  # room for two lines of caption, and between columns
    rows = -(-n // columns)
    mosaic = np.zeros((rows * (height + above), columns * (width + between), *images.shape[3:]), images.dtype)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = i // columns * (height + above) + above, i % columns * (width + between)
        mosaic[top : top + height, left : left + width] = image
        axes.text(left + width / 2, top - 1, caption, ha="center", va="bottom", fontsize=7, linespacing=1.1)
    if images.ndim == 4:
        axes.imshow(255 - mosaic)
    else:
        axes.imshow(mosaic, cmap="Greys", vmin=0)
    axes.axis("off")


def filters(axes: Axes, weight: np.ndarray) -> None:
    """The filters of a first layer, side by side: zero is grey, the strongest weight black or white.

    Args:
        axes: where to draw.
        weight: (K, 1, R, S), bright is positive; or (K, 3, R, S), channels are red, green and blue.
    """
    n, channels, height, width = weight.shape
    if channels not in (1, 3):
        raise ValueError(f"filters of 1 or 3 channels can be shown, got weights {weight.shape}")
    strongest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    shown = 0.5 + 0.5 * weight / np.where(strongest > 0.0, strongest, 1.0)  # (K, C, R, S) in [0, 1]
    columns = -(-n // max(1, round((n / 2) ** 0.5)))  # about twice as wide as high
    rows = -(-n // columns)
    mosaic = np.ones((rows * (height + 1), columns * (width + 1), 3))
    for i, each in enumerate(shown.transpose(0, 2, 3, 1)):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        mosaic[top : top + height, left : left + width] = each  # (R, S, 1) or (R, S, 3)
        corner = (left - 0.5, top - 0.5)
        axes.add_patch(
            Rectangle(corner, width, height, fill=False, edgecolor="0.5", linewidth=0.6, clip_on=False)
        )
    axes.imshow(mosaic[:-1, :-1])
    axes.axis("off")


def class_regions(
    axes: Axes,
    points: np.ndarray,
    labels: np.ndarray,
    shares: Callable[[np.ndarray], np.ndarray],
    *,
    cells: int = 100,
    size: float = 8.0,
) -> None:
    """Points in the plane over the regions of a classifier, darker where it is surer.

    Args:
        axes: where to draw; without ticks, as this is for many small panels.
        points: (N, 2).
        labels: (N,), ints in [0, K), K <= 5.
        shares: from (M, 2) to (M, K): probabilities, or 1 for the class predicted and 0 for the others.
        cells: along each side of the picture.
        size: of a point, in square points.
    """
    margin = 0.08 * np.ptp(points, axis=0)
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    edges = np.linspace(low, high, cells + 1)
    x, y = ((edges[1:] + edges[:-1]) / 2).T  # (cells,), the middles
    asked = np.stack([side.ravel() for side in np.meshgrid(x, y)], axis=1)  # (cells^2, 2)
    found = shares(asked)  # (cells^2, K)
    k = found.shape[1]
    winner = found.argmax(axis=1)
    sure = (found.max(axis=1) - 1 / k) / (1 - 1 / k)  # 0 undecided, 1 certain
    depth = (0.1 + 0.4 * sure)[:, None]
    picture = 1.0 - depth * (1.0 - np.array([to_rgb(c) for c in COLORS_OF_CLASSES])[winner])
    extent = (low[0], high[0], low[1], high[1])
    axes.imshow(picture.reshape(cells, cells, 3), origin="lower", extent=extent, aspect="auto")
    for c in range(k if k > 2 else 1):
        lead = found[:, c] - np.delete(found, c, axis=1).max(axis=1)  # above 0 where class c wins
        if lead.min() < 0.0 < lead.max():
            axes.contour(x, y, lead.reshape(cells, cells), levels=[0.0], colors="black", linewidths=0.7)
    groups(axes, points, labels, size=size)
    axes.set(xlim=extent[:2], ylim=extent[2:])


def groups(axes: Axes, points: np.ndarray, labels: np.ndarray, *, size: float = 8.0) -> None:
    """Points in the plane, each group in a colour and with a marker of its own, noise (-1) as grey crosses.

    Args:
        axes: where to draw; without ticks, as this is for many small panels.
        points: (N, 2).
        labels: (N,), ints from -1; of more than 5 groups, those after the fifth look alike again.
        size: of a point, in square points.
    """
    for k in np.unique(labels):
        chosen = points[labels == k].T
        if k < 0:
            axes.scatter(*chosen, s=size, c="0.55", marker="x", linewidths=0.6)
        else:
            color, marker = COLORS_OF_CLASSES[k % 5], MARKERS[k % 5]
            axes.scatter(*chosen, s=size, c=color, marker=marker, edgecolors="black", linewidths=0.25)
    axes.set(xticks=[], yticks=[])
    axes.margins(0.1)
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.spines[:].set(color="0.6", linewidth=0.6)


def corner(axes: Axes, text: str, *, bold: bool = False) -> None:
    """A short text in the lower right corner of a small panel, on white."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "boxstyle": "square,pad=0.15"}
    axes.text(0.97, 0.03, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=7,
              fontweight="bold" if bold else "normal", bbox=box)  # fmt: skip


def glyphs(axes: Axes, points: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> None:
    """Points in the plane, each drawn as the one-letter name of its class, so that colour is not needed.

    Args:
        axes: where to draw.
        points: (N, 2).
        labels: (N,), ints in [0, K), K <= 10.
        names: the K letters.
    """
    for k, name in enumerate(names):
        color = TEN_CLASSES[k % 10]
        axes.scatter(*points[labels == k].T, s=22, c=color, marker=f"${name}$", linewidths=0.2)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(False)
    axes.spines[:].set(visible=True, color="0.6", linewidth=0.6)


def thumbnails(axes: Axes, points: np.ndarray, images: np.ndarray, *, side: int = 1000) -> None:
    """Images at their points; of those whose middles would overlap, the first in order is drawn.

    Args:
        axes: where to draw.
        points: (N, 2).
        images: (N, H, W) in [0, 1]; bright is ink.
        side: of the picture, in pixels, along the longer side of the map.
    """
    height, width = images.shape[1:]
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    spots = np.rint((points - low) / extent.max() * (side - max(height, width))).astype(int)  # (N, 2)
    canvas = np.zeros((spots[:, 1].max() + height, spots[:, 0].max() + width), images.dtype)
    taken = np.zeros(canvas.shape, bool)
    trim = height // 7  # a margin of paper around each
    for (left, bottom), image in zip(spots, images, strict=True):
        top = len(canvas) - bottom - height
        middle = np.s_[top + trim : top + height - trim, left + trim : left + width - trim]
        if not taken[middle].any():
            place = np.s_[top : top + height, left : left + width]
            np.maximum(canvas[place], image, out=canvas[place])
            taken[middle] = True
    axes.imshow(canvas, cmap="Greys", vmin=0.0, vmax=1.0)
    axes.set_anchor("N")
    axes.axis("off")
