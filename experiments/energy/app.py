r"""Training as mechanics: a mass rolls, with friction, over the error of a network, and the books balance.

    python -m experiments.energy                          XOR, three architectures, as the classic has it
    python -m experiments.energy --rule hamiltonian       without friction
    python -m experiments.energy --data digits            ten classes
    python -m experiments.energy --model rbm              a network that is an energy

What is learned from XOR is known beforehand, and judged: the ledger of work and heat balances, the plateau
is 1/4, and how long a network rests on it can be foretold from where it stands.

Source   Polyak 1964; Qian 1999, Neural Networks 12, 145 (the mass); Wilson 1927, JASA 22 (the interval).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product

import numpy as np

from curriculum.milestone import USAGE
from dynamics.energy.energy_network import plateau
from experiments.claims import Claims
from experiments.energy import data, draw, judge, memories, rules, shares
from experiments.energy.config import Config, read, rehearse
from experiments.energy.draw import Roll
from experiments.runs import Run

SHORT = "--architectures 2-3-1 --epochs 200 --seeds 12 --frames 2"
QUICK = tuple(SHORT.split())  # what continuous integration runs
CLASSIC = "0.1"  # the start of the classic, which rests on the plateau
UNSEEN = np.array([[0.5, 0.5], [0.2, 0.8], [0.7, 0.3], [0.9, 0.1]])
COLUMNS = ("potential", "kinetic", "work", "dissipated", "grad_norm")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, draw, judge; return 0 if every claim holds, 1 if not, 2 for a request that makes no sense."""
    try:
        config = read(arguments)
        problem = data.load(config.data, config.seed)
        if config.model == "network":
            rehearse(config, problem)
        else:
            memories.rehearse(config)
    except ValueError as error:
        print(f"The energy simulator cannot run: {error}.", file=sys.stderr)
        return USAGE
    with Run("energy", config) as run:
        claims = Claims()
        if config.model == "network":
            networks(run, claims, config, problem)
        else:
            memories.remember(run, claims, config)
        claims.conclude(run, GOALS.get(config.model, GOALS["network"]))
    return run.exit_code


GOALS = {
    "network": "what is claimed of networks that roll holds",
    "rbm": "a machine that is an energy learns to dream what it saw",
    "hopfield": "memories are valleys, and recall is a fall",
    "modern_hopfield": "memories are valleys, and recall is a fall",
}


def networks(run: Run, claims: Claims, config: Config, problem: data.Problem) -> None:
    """Everything that is done with networks that roll."""
    rolls = train(run, config, problem)
    judge.ended(claims, rolls)
    rolls = [roll for roll in rolls if roll.history.end != "diverged"]
    if not rolls:
        say(run, f"Nothing is left to draw: take a smaller --lr than {config.lr:g}, or a smaller --start.")
        return
    first = [roll for roll in rolls if roll.start == config.start]  # the start that was asked for
    first = first or rolls
    rest = plateau(problem.X, problem.target)
    for name in dict.fromkeys(r.name for r in rolls):
        draw.decay(run, [r for r in rolls if r.name == name], rest, config.frames)
    draw.comparison(run, rolls, rest)
    draw.balance(run, first)
    if problem.X.shape[1] == 2:
        draw.phases(run, first, problem, rest, config.frames)
    answer(run, first, problem)
    judge.checks(run, claims)
    judge.ledger(claims, config, rolls)
    judge.learned(claims, config, rolls, problem)
    judge.rule(run, claims, config, first, problem)
    if config.data == "xor" and config.rule == "descent":
        shares.count(run, claims, config)
        shares.foretell(run, claims, config)


def train(run: Run, config: Config, problem: data.Problem) -> list[Roll]:
    """One roll an architecture from the start that was asked for; of XOR, one more from the classic's."""
    starts = [config.start]
    if config.data == "xor" and config.rule == "descent" and config.start != CLASSIC:
        starts.append(CLASSIC)
    found = []
    for start, spec in run.track(list(product(starts, config.specs)), "rolling"):
        rng = np.random.default_rng([config.seed, *spec.sizes])
        net = config.network(spec, start, rng)
        outcome = rules.train(config.rule, net, problem.X, problem.target, config.options, rng)
        found.append(Roll(net, config.rule, start, *outcome))
        print_roll(run, found[-1])
        keep(run, found)  # now: who stops the next one has these
    return found


def print_roll(run: Run, roll: Roll) -> None:
    """A line: how it ended."""
    h = roll.history
    ends = {"epochs": "", "patience": ", stopped early", "diverged": ", diverged"}
    say(run, f"  {roll.name}, start {roll.start}: E {roll.error[0]:.3f} -> {roll.error[-1]:.3g} "
             f"after {h.epoch[-1]:,} epochs{ends[h.end]}")  # fmt: skip


def say(run: Run, sentence: str) -> None:
    """Print a line without markup."""
    run.console.print(sentence, markup=False, highlight=False)


def keep(run: Run, rolls: Sequence[Roll]) -> None:
    """``metrics.csv``: some 500 records of every roll, dense at first, and what its rule alone can tell."""
    extra = list(rolls[0].extra)
    rows = []
    for roll in rolls:
        columns = [getattr(roll.history, name) for name in COLUMNS] + [roll.extra[name] for name in extra]
        epochs = roll.history.epoch
        for at in (0, *draw.moments(len(epochs) - 1, 500)):
            rows.append((roll.name, roll.start, epochs[at], *(repr(float(c[at])) for c in columns)))
    run.save_table("metrics", ("architecture", "start", "epoch", *COLUMNS, *extra), rows)


def answer(run: Run, rolls: Sequence[Roll], problem: data.Problem) -> None:
    """What the networks say where they were not asked before: ``predictions.csv``, and the accuracy there."""
    if problem.target.shape[1] == 1:
        said = np.column_stack([roll.answer(UNSEEN)[:, 0] for roll in rolls])  # (4, architectures)
        names = [roll.name for roll in rolls]
        say(run, "Outputs at unseen inputs (tanh reaches from -1 to 1: they are no probabilities)")
        say(run, "  input      " + "".join(f"{name:>10}" for name in names))
        for x, row in zip(UNSEEN, said, strict=True):
            say(run, f"  ({x[0]:.1f}, {x[1]:.1f}) " + "".join(f"{value:10.4f}" for value in row))
        rows = [(*map(float, x), *map(float, row)) for x, row in zip(UNSEEN, said, strict=True)]
        run.save_table("predictions", ("input_1", "input_2", *names), rows)
    else:
        rows = []
        for roll in rolls:
            right, given = (data.decide(y) for y in (problem.test_target, roll.answer(problem.test_X)))
            pairs = enumerate(zip(right, given, strict=True))
            rows += [(roll.name, i, problem.classes[t], problem.classes[g]) for i, (t, g) in pairs]
        run.save_table("predictions", ("architecture", "sample", "true", "predicted"), rows)
    for roll in rolls:
        share = data.accuracy(roll.answer(problem.test_X), problem.test_target)
        say(run, f"  {roll.name}: {share:.1%} of {len(problem.test_X):,} held-out samples right")
        draw.confusion(run, roll, problem)
