"""Randomness that can be repeated: every draw comes from a generator that somebody passed in.

A run is repeatable when each of its parts (shuffling, initial weights, dropout) draws from a stream of its
own, and each stream follows from one seed. Streams are told apart by position (`spawn`) or by name
(`streams`), by hashing and never by arithmetic such as ``seed + i``, which makes run 0's stream 1 equal to
run 1's stream 0. NumPy's global generator is neither read nor written.

Source   NumPy Enhancement Proposal 19 (stream compatibility); O'Neill 2014, "PCG", HMC-CS-2014-0905;
         NumPy manual, "Parallel random number generation", section SeedSequence spawning.
"""

import hashlib

import numpy as np


def generator(seed: int) -> np.random.Generator:
    """Make the generator that belongs to ``seed``: bit generator PCG64, seeded with ``SeedSequence(seed)``.

    The algorithm is named, and not left to ``default_rng``, whose choice may change with NumPy's version.

    Args:
        seed: an int (or NumPy integer) >= 0, of any size.

    Raises:
        TypeError: ``seed`` is no integer: None (a different stream in every run), a float, a bool. The
            message names the value.
        ValueError: ``seed`` is negative. The message names the value.

    >>> int(generator(0).integers(1000))
    850
    """
    raise NotImplementedError("utils.seeding: TODO 1 of 6, generator")


def derive_seed(seed: int, name: str) -> int:
    """Derive the seed of the part called ``name``, the same on every machine and in every process.

    Join ``seed`` in decimal, a slash and ``name``; hash the UTF-8 bytes with SHA-256; read the first 8 bytes
    of the digest as a big-endian unsigned integer. (``hash(name)`` would differ in every process.)

    Args:
        seed: the run's seed, an int >= 0.
        name: the part's name, e.g. "weights".

    Returns:
        An int in [0, 2**64).

    Raises:
        TypeError: ``seed`` is no integer or ``name`` no string. The message names the value.
        ValueError: ``seed`` is negative. The message names the value.

    >>> derive_seed(0, "weights")  # SHA-256 of b"0/weights" begins with these 8 bytes
    266883383748357492
    """
    raise NotImplementedError("utils.seeding: TODO 2 of 6, derive_seed")


def streams(seed: int, *names: str) -> dict[str, np.random.Generator]:
    """Make one generator a name: ``{name: generator(derive_seed(seed, name))}``, in the order given.

    A stream depends on the seed and its own name only: adding, removing or reordering the others changes
    no number of it.

    Raises:
        ValueError: a name occurs twice, so that two parts would draw the same numbers. The message names it.
    """
    raise NotImplementedError("utils.seeding: TODO 3 of 6, streams")


def spawn(source: int | np.random.Generator, n: int) -> list[np.random.Generator]:
    """Make ``n`` generators that are independent of each other and of ``source``.

    Child ``i`` is PCG64 seeded with child ``i`` of the SeedSequence behind ``source``, so it does not depend
    on ``n``.

    Args:
        source: a seed (int >= 0), for which every call gives the same children; or a generator, which counts
            its children, so that a second call gives new ones. Its own stream is not advanced.
        n: number of children, >= 0.

    Raises:
        TypeError: ``n`` is no integer; ``source`` is neither integer nor generator. The message names the
            value.
        ValueError: ``n`` or the seed is negative. The message names the value.
    """
    raise NotImplementedError("utils.seeding: TODO 4 of 6, spawn")


def save_state(rng: np.random.Generator) -> dict[str, dict]:
    """Describe ``rng`` as a dict that ``json.dumps`` accepts and later draws do not change; draw nothing.

    Args:
        rng: made by `generator`, `streams` or `spawn`.

    Returns:
        "bit_generator": NumPy's ``rng.bit_generator.state``, the position in the stream;
        "seed_sequence": the keyword arguments ``entropy``, ``spawn_key`` (as a list), ``pool_size`` and
        ``n_children_spawned`` of its SeedSequence: without them a restored generator would spawn other
        children.

    Raises:
        ValueError: the bit generator is not PCG64. The message names what it is ("MT19937").
    """
    raise NotImplementedError("utils.seeding: TODO 5 of 6, save_state")


def restore_state(state: dict[str, dict]) -> np.random.Generator:
    """Make a generator that goes on exactly where the saved one stood, its future children included.

    Args:
        state: what `save_state` returned, as it was or after a round trip through JSON. It is not changed.

    Raises:
        ValueError: ``state`` lacks "bit_generator" or "seed_sequence". The message names what is missing.
    """
    raise NotImplementedError("utils.seeding: TODO 6 of 6, restore_state")


def _natural(value: int, name: str) -> int:
    """``value`` as an int >= 0; ``name`` is what the message calls it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an int >= 0, got {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be >= 0, got {value}")
    return int(value)
