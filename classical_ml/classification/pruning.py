r"""Pruning: grow the tree to the end, then cut off, again and again, the subtree that is worth least a leaf.

    cost(alpha) = sum of the risks of the leaves + alpha * number of leaves
    link(j) = (risk(j) - risks of the leaves below j) / (leaves below j - 1)        cut where it is least

A tree grown to the end remembers the noise; one that stops early may stop before a useless question that the
next one needs. So prices are set afterwards. link(j) is the alpha from which on the leaf j is as good as all
that is below it. Cut at the least of them, update the nodes above, go on: the links never fall, the trees are
nested, and for every alpha one of them is the smallest of all subtrees with the least cost.

A cut changes nothing but two numbers of each node above: its leaves and their risk. And as nodes are numbered
depth first, those below j are a range.

Shapes   Of a tree with J nodes: risk, links, counts of leaves (J,).
Source   Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, sec. 3.3 and ch. 10.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from classical_ml.classification.tree import TIE, Tree


class PruningPath(NamedTuple):
    """What `pruning_path` returns: two arrays of one length."""

    ccp_alphas: np.ndarray
    impurities: np.ndarray


def weakest_links(tree: Tree) -> Iterator[tuple[float, int, float]]:
    """Cut the tree back to its root, each time at the node where a leaf saved costs least.

    Cutting off what is below j adds risk(j) less the risks of the leaves below j, and saves all of these
    leaves but one. The quotient is the link of j, an alpha. The tree itself stays as it is.

    Yields:
        The least alpha of the nodes that still have children, but never less than the one before, nor than 0;
        its node j; and the sum of the risks of the leaves that there are once j is one.
    """
    raise NotImplementedError("classical_ml.classification.pruning: TODO 1 of 3, weakest_links")


def pruning_path(tree: Tree) -> PruningPath:
    """The alphas at which another part of the tree goes, and what is left then.

    Returns:
        ccp_alphas: rising, from 0 for the whole tree to that of the root alone. A link goes together with the
            one before, up to rounding: if its alpha is larger by at most TIE, relatively, plus an ulp of the
            root's risk. The alpha of such a group is that of its last link; with 0 it is 0.
        impurities: of the tree that `prune` leaves for each alpha, the sum of the risks of its leaves.
    """
    raise NotImplementedError("classical_ml.classification.pruning: TODO 2 of 3, pruning_path")


def prune(tree: Tree, alpha: float) -> Tree:
    """The tree without the links up to alpha: the smallest of its subtrees with the least cost.

    The cost is the risk of the leaves plus alpha times their number. "Up to alpha" allows a relative TIE;
    with alpha = 0 nothing is cut.
    """
    raise NotImplementedError("classical_ml.classification.pruning: TODO 3 of 3, prune")
