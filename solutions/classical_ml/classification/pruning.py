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
    risk, inner = tree.risk, np.flatnonzero(~tree.is_leaf)
    parent = np.full(tree.node_count, -1)
    end = np.arange(tree.node_count) + 1  # j and all below it are j ... end[j] - 1
    leaves, below = np.ones(tree.node_count, np.intp), risk.copy()  # number and risk of the leaves under j
    for j in reversed(inner.tolist()):
        children = [tree.children_left[j], tree.children_right[j]]
        parent[children], end[j] = j, end[children[1]]
        leaves[j], below[j] = leaves[children].sum(), below[children].sum()
    link = np.full(tree.node_count, np.inf)
    link[inner] = (risk[inner] - below[inner]) / (leaves[inner] - 1)
    alpha = 0.0
    while leaves[0] > 1:
        weakest = above = int(link.argmin())
        alpha = max(alpha, float(link[weakest]))
        link[weakest : end[weakest]] = np.inf
        saved, added = leaves[weakest] - 1, risk[weakest] - below[weakest]
        while above >= 0:
            leaves[above] -= saved
            below[above] += added
            if leaves[above] > 1:
                link[above] = (risk[above] - below[above]) / (leaves[above] - 1)
            above = int(parent[above])
        yield alpha, weakest, float(below[0])


def pruning_path(tree: Tree) -> PruningPath:
    """The alphas at which another part of the tree goes, and what is left then.

    Returns:
        ccp_alphas: rising, from 0 for the whole tree to that of the root alone. A link goes together with the
            one before, up to rounding: if its alpha is larger by at most TIE, relatively, plus an ulp of the
            root's risk. The alpha of such a group is that of its last link; with 0 it is 0.
        impurities: of the tree that `prune` leaves for each alpha, the sum of the risks of its leaves.
    """
    risk = tree.risk
    alphas, impurities = [0.0], [float(risk[tree.is_leaf].sum())]
    for alpha, _, impurity in weakest_links(tree):
        if alpha > alphas[-1] * (1.0 + TIE) + np.finfo(float).eps * risk[0]:
            alphas.append(alpha)
            impurities.append(impurity)
        else:
            alphas[-1], impurities[-1] = (alpha if len(alphas) > 1 else 0.0), impurity
    return PruningPath(np.array(alphas), np.array(impurities))


def prune(tree: Tree, alpha: float) -> Tree:
    """The tree without the links up to alpha: the smallest of its subtrees with the least cost.

    The cost is the risk of the leaves plus alpha times their number. "Up to alpha" allows a relative TIE;
    with alpha = 0 nothing is cut.
    """
    leaf = tree.is_leaf
    if alpha > 0.0:
        links = takewhile(lambda link: link[0] <= alpha * (1.0 + TIE), weakest_links(tree))
        leaf[[j for _, j, _ in links]] = True
    kept, level = np.zeros(len(leaf), bool), np.zeros(1, np.intp)
    while len(level):
        kept[level] = True
        level = level[~leaf[level]]
        level = np.concatenate([tree.children_left[level], tree.children_right[level]])
    number = np.cumsum(kept) - 1
    cut = replace(
        tree,
        children_left=np.where(leaf, -1, number[tree.children_left]),
        children_right=np.where(leaf, -1, number[tree.children_right]),
        feature=np.where(leaf, -2, tree.feature),
        threshold=np.where(leaf, -2.0, tree.threshold),
    )
    return Tree(*(getattr(cut, field.name)[kept] for field in fields(Tree)))
