"""Pictures of a run, drawn from its record: the dashboard at any step, and the film of it.

classic    fit, errors, sharpness and edge, the step along the sharpest direction
all        and: kernel, layers, linear regions or the loss's parts, first and second derivative
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import plots
from experiments.neuroscope.recorder import History
from experiments.runs import Run

Array = np.ndarray
Show = Callable[[int], None]  # draws the state at a step
SERIES = {  # panel: title, columns, whether on a log scale
    "errors": ("Errors", ("loss", "clean", "ood"), True),
    "kernel": ("Eigenvalues of the tangent kernel", ("ntk_",), True),
    "layers": ("Largest singular value of each layer", ("spectral_",), False),
    "regions": ("Linear regions", ("regions",), False),
    "parts": ("Parts of the loss", ("data", "penalty", "residual", "boundary"), True),
    "norms": ("Lengths", ("gradient_norm", "step_norm"), True),
}
NAMES = {
    "clean": "in the range, no noise",
    "ood": "outside the range",
    "data": "samples",
    "residual": "equation",
    "gradient_norm": "gradient",
    "step_norm": "step",
}


def picture(history: History, run: Run) -> None:
    """Write ``dashboard.png``, all panels at the last step."""
    drawn, shows = _figure(history, "all")
    for show in shows:
        show(int(history.columns["step"][-1]))
    run.save_figure("dashboard", drawn)


def film(history: History, run: Run, panels: str, frames: int, fps: int) -> None:
    """Write ``animation.gif``, and ``animation.mp4`` where ffmpeg is.

    Args:
        history: of the run.
        run: whose folder it goes to.
        panels: "classic" or "all".
        frames: at most.
        fps: a second.
    """
    drawn, shows = _figure(history, panels)
    chosen = np.unique(np.linspace(0, len(history.frames) - 1, frames).round().astype(int))
    first = True

    def show(step: int) -> None:
        nonlocal first
        for each in shows:
            each(step)
        if first:  # places are found once, for all frames alike
            drawn.draw_without_rendering()
            drawn.set_layout_engine("none")
            first = False

    run.save_animation("animation", drawn, show, history.frames[chosen].tolist(), fps)


def _figure(history: History, panels: str) -> tuple[Figure, list[Show]]:
    """A figure with empty panels, and what fills them for a step."""
    makers = [_fit, _series("errors"), _sharpness, _projection]
    if panels == "all":
        present = [
            name for name in ("kernel", "layers", "regions", "parts", "norms") if _columns(history, name)
        ]
        if "parts" in present and len(_columns(history, "parts")) < 2:
            present.remove("parts")
        makers += [_series(name) for name in present]
        if history.slope is not None:
            makers += [_derivative("slope", "f'"), _derivative("curvature", "f''")]
    columns = 2 if len(makers) <= 4 else 3
    rows = -(-len(makers) // columns)
    with plots.figure(
        history.title, rows=rows, columns=columns, width=5.75 * columns, height=3.4 * rows + 0.4
    ) as (drawn, axes):
        for spare in axes.ravel()[len(makers) :]:
            spare.set_visible(False)
        shows = [make(axis, history) for axis, make in zip(axes.ravel(), makers, strict=False)]
    return drawn, shows


def _columns(history: History, panel: str) -> list[str]:
    """The columns of a panel that were measured in this run."""
    wanted = SERIES[panel][1]
    names = [
        n for n in history.columns if n in wanted or (n.rstrip("0123456789") in wanted and n[-1].isdigit())
    ]
    order = {name: i for i, name in enumerate(wanted)}
    return sorted((n for n in names if history.at(n)[0].size), key=lambda n: order.get(n, 0))


def _frame(history: History, step: int) -> int:
    """The snapshot that is shown at a step: the last one before it."""
    return max(int(np.searchsorted(history.frames, step, side="right")) - 1, 0)


def _fit(axes: Axes, history: History) -> Show:
    return _surface(axes, history) if len(history.plot.axes) == 2 else _curve(axes, history)


def _curve(axes: Axes, history: History) -> Show:
    """One input: samples, the function, the fit, and the range of the samples."""
    (x,), (low, high) = history.plot.axes, history.data.box[0]
    axes.axvspan(low, high, color="0.93", zorder=0)
    if history.sampled:
        axes.plot(history.data.X[:, 0], history.data.y, ".", color="0.6", markersize=2.5, zorder=1)
    if len(history.data.outside_y):
        axes.plot(history.data.outside_X[:, 0], history.data.outside_y, "x", color=plots.ORANGE, markersize=3,
                  zorder=1, label="kept to judge by")  # fmt: skip
    if np.isfinite(history.target).any():
        axes.plot(x, history.target, color="black", linewidth=1.0, linestyle="--", label="target")
    (line,) = axes.plot([], [], color=plots.BLUE, linewidth=2.0, label="network")
    # far outside, target and network may be any number: the range that was seen decides what is in view
    known = np.concatenate([history.data.y, history.target[history.plot.inside]])
    low_y, high_y = np.quantile(known[np.isfinite(known)], [0.001, 0.999])
    margin = 0.6 * (high_y - low_y) + 1e-9
    axes.set(xlim=(x[0], x[-1]), ylim=(low_y - margin, high_y + margin), xlabel="x")
    axes.legend(loc="lower left", fontsize=8, ncols=2)

    def show(step: int) -> None:
        frame = _frame(history, step)
        line.set_data(x, history.output[frame])
        done = history.frames[frame]
        axes.set_title(f"Fit after {done:,} steps; grey: the range that was seen", loc="left")

    return show


def _surface(axes: Axes, history: History) -> Show:
    """Two inputs: the network's surface over that of the function, and the range as a dashed box."""
    across, up = np.meshgrid(*history.plot.axes)
    shape, figure, place = across.shape, axes.figure, axes.get_subplotspec()
    axes.remove()
    solid = figure.add_subplot(place, projection="3d", computed_zorder=False)  # type: ignore[union-attr]
    target = history.target.reshape(shape)
    values = target[np.isfinite(target)] if np.isfinite(target).any() else history.data.y
    low, high = values.min() - 0.1, values.max() + 0.1
    (a, b), (c, d) = history.data.box
    points = np.linspace(0, len(history.data.X) - 1, 300 * history.sampled).round().astype(int)

    def show(step: int) -> None:
        solid.clear()
        frame = _frame(history, step)
        fit = np.clip(history.output[frame].reshape(shape), low - 1, high + 1)
        solid.scatter(*history.data.X[points].T, history.data.y[points], s=3, color="black", alpha=0.5)
        solid.plot_surface(across, up, fit, cmap="viridis", vmin=low, vmax=high, alpha=0.85, linewidth=0)
        if np.isfinite(target).all():
            solid.plot_wireframe(across, up, target, color="black", linewidth=0.35, rstride=3, cstride=3)
        floor = low - 1
        solid.plot([a, b, b, a, a], [c, c, d, d, c], [floor] * 5, color=plots.VERMILION, linestyle="--")
        solid.set(
            zlim=(floor, high + 1), xlabel="x", ylabel="t" if history.config.get("pde") == "heat" else "y"
        )
        wires = "; wires: target" if np.isfinite(target).all() else ""
        solid.set_title(f"Fit after {history.frames[frame]:,} steps; dots: samples{wires}", loc="left")

    return show


def _series(panel: str) -> Callable[[Axes, History], Show]:
    """A panel of lines over the steps."""
    title, _, log = SERIES[panel]

    def make(axes: Axes, history: History) -> Show:
        names = _columns(history, panel)
        axes.set(title=title, xlabel="step")
        return _lines(axes, history, [(name, _label(name)) for name in names], log)

    return make


def _label(name: str) -> str:
    kind, _, number = name.rpartition("_")
    if kind == "ntk":
        return number
    return f"layer {number}" if kind == "spectral" else NAMES.get(name, name.replace("_", " "))


def _lines(axes: Axes, history: History, named: Sequence[tuple[str, str]], log: bool) -> Show:
    """Lines that grow with the steps; the whole of each is there in a pale shade."""
    moving = []
    for i, (name, label) in enumerate(named):
        steps, values = history.at(name)
        values = np.where(np.isfinite(values), values, np.nan)
        color, style = plots.COLORS[i % 5], plots.LINES[(i + i // 5) % 5]
        axes.plot(steps, values, color=color, linewidth=0.6, alpha=0.25)
        marker = plots.MARKERS[i % 5] if steps.size < 4 else ""  # a run that blew up at once
        (line,) = axes.plot([], [], color=color, linestyle=style, marker=marker, linewidth=1.5, label=label)
        moving.append((line, steps, values))
    positive = [v[v > 0] for _, _, v in moving]
    if log and any(v.size for v in positive):
        axes.set_yscale("log")
    axes.set_xlim(0, max(1, history.columns["step"][-1]))
    if len(named) > 1:
        axes.legend(fontsize=8, ncols=2 if len(named) > 3 else 1)

    def show(step: int) -> None:
        for line, steps, values in moving:
            line.set_data(steps[steps <= step], values[steps <= step])

    return show


def _sharpness(axes: Axes, history: History) -> Show:
    """The largest eigenvalues, and the edge that they are to be compared with."""
    scaled = history.at("effective")[0].size > 0
    names = [("effective", "scaled Hessian, largest")] if scaled else []
    named = [*names, ("sharpness", "largest"), ("sharpness_2", "second")]
    axes.set(title="Eigenvalues of the Hessian", xlabel="step")
    if not history.at("sharpness")[0].size:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
        return lambda step: None
    show = _lines(axes, history, named, scaled)
    edge = history.at("edge")[1]
    if edge.size and isfinite(edge[-1]):
        note = history.notes.get("edge", "")
        plots.level(axes, edge[-1], f"edge {note}" if len(note) < 30 else f"edge {edge[-1]:.4g}")
        if scaled:
            axes.set_ylim(top=6 * max(edge[-1], history.at("effective")[1].max()))
        else:
            axes.set_ylim(0, 1.35 * max(edge[-1], history.at("sharpness")[1].max()))
    elif history.notes.get("edge"):
        axes.text(0.02, 0.94, history.notes["edge"], transform=axes.transAxes, fontsize=8)
    axes.legend(fontsize=8, loc="best", framealpha=0.8, frameon=True, edgecolor="none")
    return show


def _projection(axes: Axes, history: History) -> Show:
    """How far each step goes along the sharpest direction: its size, and by colour its sign."""
    steps, moved = history.at("projection")
    axes.set(title="|step along the sharpest direction|, by sign", xlabel="step")
    if not steps.size:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
        return lambda step: None
    size = np.abs(moved)
    colors = np.where(moved > 0, plots.BLUE, plots.ORANGE)
    dots = axes.scatter([], [], s=2.5 if steps.size > 500 else 14, linewidths=0)
    for color, label in ((plots.BLUE, "forward"), (plots.ORANGE, "back")):
        axes.plot([], [], ".", color=color, label=label)
    if (size > 0).any():
        axes.set_yscale("log")
        axes.set_ylim(np.quantile(size[size > 0], 0.005) / 2, 2 * size[np.isfinite(size)].max())
    axes.set_xlim(0, max(1, history.columns["step"][-1]))
    axes.legend(fontsize=8)

    def show(step: int) -> None:
        until = int(np.searchsorted(steps, step, side="right"))
        dots.set_offsets(np.stack([steps[:until], size[:until]], axis=1))
        dots.set_color(colors[:until].tolist())

    return show


def _derivative(name: str, title: str) -> Callable[[Axes, History], Show]:
    """A panel of f' or f'' of the network, and of the target by differences."""

    def make(axes: Axes, history: History) -> Show:
        x = history.plot.axes[0]
        low, high = history.data.box[0]
        values: Array = getattr(history, name)
        inside = (low <= x) & (x <= high)
        truth = np.gradient(history.target, x)
        truth = truth if name == "slope" else np.gradient(truth, x)
        axes.axvspan(low, high, color="0.93", zorder=0)
        axes.plot(x, truth, color="black", linewidth=1.0, linestyle="--")
        (line,) = axes.plot([], [], color=plots.BLUE, linewidth=1.6)
        seen = np.concatenate([values[-1, inside], truth[inside]])
        seen = seen[np.isfinite(seen)]
        bound = 1.5 * max(np.quantile(np.abs(seen), 0.98) if seen.size else 1.0, 1e-6)
        dashed = "; dashed: of the target" if np.isfinite(truth).any() else ""
        axes.set(title=f"{title} of the network{dashed}", xlabel="x", xlim=(x[0], x[-1]),
                 ylim=(-bound, bound))  # fmt: skip
        return lambda step: line.set_data(x, values[_frame(history, step)])

    return make
