"""Networks that are an energy: what they remember, what they dream, and how the energy falls.

    rbm                learns the digits, and dreams: dreams.png, learning.png; and XOR, exactly
    hopfield           ten digits are valleys, and damaged ones roll back: recall.png, .gif, energy.png
    modern_hopfield    the same, from digits of which half is covered

They learn the handwritten digits that ship with the course, whatever ``--data`` says of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from dynamics.energy import hopfield
from experiments import plots
from experiments.claims import Claims
from experiments.energy import models
from experiments.energy.config import Config
from experiments.energy.models import SIDE, Dreaming, Dreams, Pictures, Recalls
from experiments.runs import Run

Array = np.ndarray
SWEEPS = 1000  # of the chains that dream
DREAMS = 20
SHARE = 0.15  # of the pixels that are turned over
FOUND = 0.95  # an overlap above: it is that pattern
XOR_UNITS = 8  # hidden units of the machine that learns XOR


def rehearse(config: Config) -> None:
    """Refuse what an energy-based model has no use for.

    Raises:
        ValueError: another rule than descent, other data than the digits, or a number that is out of range.
    """
    if config.rule != "descent":
        raise ValueError(f"--model {config.model} has a rule of its own, leave out --rule {config.rule}")
    if config.data not in ("xor", "digits"):
        raise ValueError(f"--model {config.model} remembers the digits, leave out --data {config.data}")
    if config.model == "rbm":
        _options(config)


def remember(run: Run, claims: Claims, config: Config) -> None:
    """Learn, draw and judge one of the models."""
    pictures, rng = models.pictures(), np.random.default_rng(config.seed)
    if config.model == "rbm":
        learn(run, claims, config, pictures, rng)
        likelihood(run, claims, config)
        return
    patterns = pictures.one_of_each(rng)
    if config.model == "hopfield":
        cues = models.damage(patterns, SHARE, rng)
        recalls = models.recall(patterns, cues, "projection", rng)
        judge_hopfield(claims, patterns, cues, rng)
    else:
        half = np.arange(patterns.shape[1]) < patterns.shape[1] // 2
        recalls = models.attend(patterns, np.where(half, patterns, 0.0))
    judge_recall(claims, recalls)
    draw_recall(run, recalls, config.frames)


def learn(run: Run, claims: Claims, config: Config, pictures: Pictures, rng: np.random.Generator) -> None:
    """Let a restricted Boltzmann machine learn the digits, watch it on unseen ones, and let it dream."""
    options, rows, seen = _options(config), [], pictures.unseen[: models.WATCHED]
    path = models.machines(pictures.bits, options, rng)
    for epoch in run.track(range(options.epochs + 1), "learning the digits"):
        machine = next(path)
        rows.append((epoch, models.reconstruction(machine, seen), models.pseudo_likelihood(machine, seen)))
    run.save_table("learning", ("epoch", "reconstruction", "pseudo_likelihood"), rows)
    dreams = models.samples(machine, DREAMS, SWEEPS, rng)
    kinds = models.looks_like(dreams, pictures)
    epochs, reconstruction, pseudo = np.array(rows).T
    # seed 0: + 25.7 nats and 8 digits of 20 dreams; five epochs reach these bounds, fewer claim nothing
    if options.epochs >= 5:
        judge_learning(claims, reconstruction, pseudo, kinds)
    with plots.figure("Dreams of a machine that saw digits", rows=2, width=9.0, height=5.0) as (drawn, axes):
        real = pictures.unseen[:DREAMS].reshape(-1, SIDE, SIDE)
        plots.pictures(axes[0, 0], 255 * real, [""] * DREAMS, 10)
        axes[0, 0].set_title("digits that it has not seen")
        plots.pictures(axes[1, 0], 255 * dreams.reshape(-1, SIDE, SIDE), [f"{k}" for k in kinds], 10)
        axes[1, 0].set_title(
            f"dreams: {SWEEPS:,} sweeps from noise; above each, the digit that is nearest to it"
        )
        plots.caption(drawn, "Probabilities of ink. That a dream looks like a digit does not say how often "
                             "each is dreamt, nor of digits that never are.")  # fmt: skip
        run.save_figure("dreams", drawn)
    with plots.figure("Learning without a target", columns=2, width=9.0, height=3.8) as (drawn, axes):
        for axis, values, what in zip(
            axes[0],
            (pseudo, reconstruction),
            ("pseudo-likelihood (nats)", "reconstruction error"),
            strict=True,
        ):
            axis.plot(epochs, values, color=plots.BLUE)
            axis.set(xlabel="epoch", ylabel=what)
        plots.caption(drawn, "On digits that it has not seen. Training follows neither: its gradient is "
                             "that of a likelihood whose Z is too long a sum.")  # fmt: skip
        run.save_figure("learning", drawn)


def judge_learning(claims: Claims, reconstruction: Array, pseudo: Array, kinds: Array) -> None:
    """Unseen digits become likelier, and dreams become digits."""
    claims.at_least("pseudo-likelihood of unseen digits, end less start (nats)", pseudo[-1] - pseudo[0], 2.0)
    claims.at_most("reconstruction error, end over start", reconstruction[-1] / reconstruction[0], 0.8)
    claims.at_least("different digits among the dreams", len(set(kinds.tolist())), 3)


def likelihood(run: Run, claims: Claims, config: Config) -> None:
    """XOR as four patterns of three bits: with hidden units their probability is learned, exactly."""
    dreams: Dreams = models.remember_xor(XOR_UNITS, np.random.default_rng(config.seed))
    # 10 seeds: -1.47 +- 0.025
    claims.at_least("XOR, 8 hidden units: log-likelihood a row", dreams.likelihood[-1], -1.6)
    claims.at_most("the same: no more than the best there is, -2 log 2", dreams.likelihood[-1], -2 * log(2))
    with plots.figure("XOR as an energy", width=6.4, height=3.8) as (drawn, axes):
        axis = axes[0, 0]
        axis.plot(dreams.epoch, dreams.likelihood, color=plots.BLUE)
        plots.level(axis, -2 * log(2), "best: -2 log 2")
        plots.level(axis, -3 * log(2), "without hidden units: -3 log 2")
        axis.set(xlabel="step", ylabel="log-likelihood a row (nats)")
        plots.caption(
            drawn, "Exact: the sum over all states is short. No pair of the three bits is correlated."
        )
        run.save_figure("xor_likelihood", drawn)


def judge_hopfield(claims: Claims, patterns: Array, cues: Array, rng: np.random.Generator) -> None:
    """What the two rules of storing can and cannot do."""
    hebb = models.recall(patterns, cues, "hebbian", rng)
    # 0 of 120: ten digits are too much alike
    claims.at_most("Hebb's rule: digits recalled of ten", float((hebb.overlap[-1] > FOUND).sum()), 2)
    weights = hopfield.store(2 * models.XOR - 1, "hebbian")
    claims.at_most(
        "XOR stored by Hebb's rule: largest weight, since no two bits agree", np.abs(weights).max(), 1e-15
    )


def judge_recall(claims: Claims, recalls: Recalls) -> None:
    """The energy falls, and what is found is what was stored."""
    rise = float(np.diff(recalls.energy, axis=0).max()) if len(recalls.energy) > 1 else 0.0
    claims.at_most("energy: largest rise in a step of any recall", rise, 1e-9)
    # ten at a time: 998 of 1,000 of the projection rule, 1,000 of 1,000 of attention
    claims.at_least("digits recalled of ten", float((recalls.overlap[-1] > FOUND).sum()), 8)
    claims.at_most("overlap of the cues with their patterns, mean", recalls.overlap[0].mean(), 0.9)


def draw_recall(run: Run, recalls: Recalls, frames: int) -> None:
    """``recall.png``: patterns, cues, ends; ``recall.gif``: the way; ``energy.png``."""
    rows = (recalls.patterns, recalls.states[0], recalls.states[-1])
    with plots.figure("Memories are valleys", rows=3, width=9.0, height=5.4) as (drawn, axes):
        for axis, states, name in zip(axes[:, 0], rows, ("stored", "cues", "recalled"), strict=True):
            plots.pictures(axis, _ink(states), [""] * len(states), 10)
            axis.set_title(name)
        run.save_figure("recall", drawn)
    with plots.figure("The energy of ten recalls", width=6.4, height=4.0) as (drawn, axes):
        axis = axes[0, 0]
        for i, path in enumerate(recalls.energy.T):
            axis.plot(
                path, color=plots.TEN_CLASSES[i], marker=plots.MARKERS[i % 5], markersize=4, label=f"{i}"
            )
        axis.set(xlabel="sweep or step", ylabel="energy")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(title="digit", ncols=2, fontsize=8)
        plots.caption(
            drawn, "It never rises. A valley need not be a memory: mixtures of digits have valleys, too."
        )
        run.save_figure("energy", drawn)
    with plots.figure("Recall", rows=2, width=7.0, height=4.6) as (drawn, axes):
        above, below = axes[:, 0]

        def show(step: int) -> None:
            above.clear()
            plots.pictures(above, _ink(recalls.states[step]), [""] * len(recalls.patterns), 10)
            below.clear()
            below.plot(recalls.energy[: step + 1], color=plots.BLUE, marker="o", markersize=3)
            low, high, spread = recalls.energy.min(), recalls.energy.max(), 0.05 * np.ptp(recalls.energy)
            below.set(xlim=(-0.2, len(recalls.energy) - 0.8), xlabel="sweep or step", ylabel="energy",
                      ylim=(low - spread, high + spread))  # fmt: skip

        shown = np.unique(np.linspace(0, len(recalls.states) - 1, frames).round().astype(int))
        run.save_animation("recall", drawn, show, shown.tolist(), fps=2)


def _options(config: Config) -> Dreaming:
    return Dreaming(lr=config.lr, epochs=config.epochs, batch_size=config.batch_size or 50)


def _ink(states: Array | Sequence[Array]) -> Array:
    """States of -1 ... 1 as pictures, (P, SIDE, SIDE), bright is ink."""
    return 127.5 * (1 + np.clip(np.asarray(states), -1, 1)).reshape(-1, SIDE, SIDE)
