"""seeding: the streams it defines, draw by draw, and what must not move them."""

import copy
import hashlib
import json

import numpy as np
import pytest

from curriculum.testing import expect
from utils.seeding import derive_seed, generator, restore_state, save_state, spawn, streams


def draws(rng, what="what was returned"):
    """Five numbers of ``rng``, once it is sure that it is a generator."""
    expect.true(
        isinstance(rng, np.random.Generator), f"{what} must be a np.random.Generator, got {rng!r:.60}"
    )
    return rng.random(5)


def pcg64(*args, **kwargs):
    """Five numbers of the stream that the definition names."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(*args, **kwargs))).random(5)


@pytest.mark.parametrize("seed", [0, 7, 2**70, np.int64(7)])
def test_generator_is_pcg64_seeded_with_the_seed(seed):
    expect.equal(draws(generator(seed)), pcg64(int(seed)), f"the stream of generator({seed})")


def test_generator_starts_anew_in_every_call():
    first = generator(3)
    draws(first)
    expect.equal(draws(generator(3)), pcg64(3), "the stream of a second generator(3)")


@pytest.mark.parametrize(
    ("seed", "name", "expected"),
    [
        (0, "weights", 266883383748357492),
        (0, "data", 1473744611080482977),
        (1, "data", 12294625147520226805),
        (12, "", 2638103901225183815),
        (0, "Gewichte für β", 7034329799160611778),
    ],
)
def test_derived_seed_is_the_same_on_every_machine(seed, name, expected):
    expect.equal(derive_seed(seed, name), expected, f"derive_seed({seed}, {name!r})")


def test_derived_seed_is_the_start_of_the_sha256_of_seed_slash_name():
    for i in range(50):
        digest = hashlib.sha256(f"{i}/layer{i}.weight".encode()).digest()
        expected = int.from_bytes(digest[:8], "big")
        expect.equal(derive_seed(i, f"layer{i}.weight"), expected, f"derive_seed({i}, 'layer{i}.weight')")


def test_streams_have_a_generator_for_each_name_in_order():
    made = streams(5, "data", "weights", "dropout")
    expect.equal(list(made), ["data", "weights", "dropout"], "the names of the streams")
    for name, rng in made.items():
        seed = int.from_bytes(hashlib.sha256(f"5/{name}".encode()).digest()[:8], "big")
        expect.equal(draws(rng), pcg64(seed), f"the stream '{name}' of seed 5")


def test_a_stream_does_not_depend_on_the_others():
    alone = draws(streams(5, "dropout")["dropout"])
    among = draws(streams(5, "noise", "data", "dropout", "weights")["dropout"])
    expect.equal(among, alone, "the stream 'dropout' beside three others")


@pytest.mark.parametrize("seed", [0, 11])
def test_children_of_a_seed_are_those_of_its_seed_sequence(seed):
    children = spawn(seed, 4)
    expect.equal(len(children), 4, f"the number of children of spawn({seed}, 4)")
    for i, child in enumerate(children):
        expect.equal(draws(child), pcg64(seed, spawn_key=(i,)), f"the stream of child {i} of seed {seed}")


def test_children_do_not_depend_on_how_many_there_are():
    few, many = spawn(4, 2), spawn(4, 6)
    for i in range(2):
        expect.equal(draws(few[i]), draws(many[i]), f"child {i} of 2 and child {i} of 6")


def test_a_seed_spawns_the_same_children_every_time():
    spawn(4, 3)
    expect.equal(draws(spawn(4, 3)[0]), pcg64(4, spawn_key=(0,)), "the first child of a second spawn(4, 3)")


def test_a_generator_spawns_new_children_every_time():
    rng = generator(4)
    for call in range(3):
        children = spawn(rng, 2)
        expect.equal(len(children), 2, f"the number of children in call {call}")
        for i, child in enumerate(children):
            expected = pcg64(4, spawn_key=(2 * call + i,))
            expect.equal(draws(child), expected, f"child {i} of call {call} of spawn(generator(4), 2)")


def test_children_have_children():
    grandchild = spawn(spawn(4, 2)[1], 3)[2]
    expect.equal(draws(grandchild), pcg64(4, spawn_key=(1, 2)), "child 2 of child 1 of seed 4")


def test_spawning_does_not_advance_the_parent():
    rng = generator(9)
    expect.equal(len(spawn(rng, 3)), 3, "the number of children of spawn(rng, 3)")
    expect.equal(draws(rng), pcg64(9), "the stream of the parent after spawn")


def test_no_children():
    expect.equal(spawn(3, 0), [], "spawn(3, 0)")
    expect.equal(len(spawn(3, 1)), 1, "the number of children of spawn(3, 1)")


SOURCES = {
    "fresh": lambda: generator(6),
    "named": lambda: streams(6, "data")["data"],
    "child": lambda: spawn(6, 3)[2],
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_restored_generator_goes_on_where_the_saved_one_stood(source):
    rng = SOURCES[source]()
    rng.normal(size=100)
    text = json.dumps(save_state(rng))
    expect.equal(draws(restore_state(json.loads(text))), draws(rng), f"the restored stream ({source})")


def test_half_a_word_left_over_by_a_32_bit_draw_is_restored_too():
    rng = generator(6)
    rng.random(3, dtype=np.float32)  # takes one and a half 64-bit words
    restored = restore_state(json.loads(json.dumps(save_state(rng))))
    expected = rng.random(4, dtype=np.float32)
    expect.true(
        isinstance(restored, np.random.Generator),
        f"restore_state must return a generator, got {restored!r:.60}",
    )
    expect.equal(restored.random(4, dtype=np.float32), expected, "float32 draws after restoring")


def test_a_restored_generator_spawns_the_same_children():
    rng = spawn(6, 3)[1]
    spawn(rng, 2)
    restored = restore_state(json.loads(json.dumps(save_state(rng))))
    (child,) = spawn(restored, 1)
    expect.equal(draws(child), pcg64(6, spawn_key=(1, 2)), "the next child of the restored generator")


def test_saving_draws_nothing_and_the_saved_state_stays():
    rng = generator(6)
    state = save_state(rng)
    expect.equal(draws(rng), pcg64(6), "the stream after save_state")
    expect.equal(draws(restore_state(state)), pcg64(6), "the stream restored after the original went on")


def test_state_has_the_documented_form():
    rng = spawn(6, 3)[2]
    rng.random(10)
    spawn(rng, 4)
    sequence = {"entropy": 6, "spawn_key": [2], "pool_size": 4, "n_children_spawned": 4}
    state = save_state(rng)
    expect.true(isinstance(state, dict), f"save_state must return a dict, got {state!r:.60}")
    expect.equal(sorted(state), ["bit_generator", "seed_sequence"], "the keys of the state")
    expect.true(
        state["seed_sequence"] == sequence,
        f"the seed sequence of the state is wrong\n  yours {state['seed_sequence']}   expected {sequence}",
    )
    expect.true(
        state["bit_generator"] == rng.bit_generator.state,
        f"the bit generator of the state is wrong\n  yours {state['bit_generator']}\n"
        f"  expected {rng.bit_generator.state}",
    )


def test_restoring_leaves_the_state_as_it_was():
    state = save_state(spawn(6, 3)[2])
    before = copy.deepcopy(state)
    rng = restore_state(state)
    spawn(rng, 2)
    expect.equal(draws(rng), pcg64(6, spawn_key=(2,)), "the restored stream")
    expect.true(state == before, f"restore_state changed its argument\n  before {before}\n  after {state}")


def test_the_global_generator_is_not_moved():
    before = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    made = [generator(5), *streams(5, "a", "b").values(), *spawn(5, 2), *spawn(generator(5), 2)]
    made.append(restore_state(save_state(generator(5))))
    numbers = [draws(rng) for rng in made]
    after = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    same = before["pos"] == after["pos"] and np.array_equal(before["key"], after["key"])
    expect.true(same, "NumPy's global generator was seeded or drawn from: use generators of your own")
    expect.equal(numbers[0], pcg64(5), "the stream of generator(5)")


@pytest.mark.parametrize("seed", [None, 1.5, True, "7"])
def test_a_seed_that_is_no_integer_is_refused(seed):
    with expect.raises(TypeError, str(seed)):
        generator(seed)
    with expect.raises(TypeError, str(seed)):
        derive_seed(seed, "data")


def test_a_negative_seed_is_refused():
    for call in (lambda: generator(-3), lambda: derive_seed(-3, "data"), lambda: spawn(-3, 2)):
        with expect.raises(ValueError, "-3"):
            call()


def test_a_name_that_is_no_string_is_refused():
    with expect.raises(TypeError, "17"):
        derive_seed(0, 17)


def test_a_name_used_twice_is_refused():
    with expect.raises(ValueError, "data"):
        streams(0, "data", "weights", "data")


@pytest.mark.parametrize(
    ("source", "n", "kind", "named"),
    [
        (3, -2, ValueError, "-2"),
        (3, 2.5, TypeError, "2.5"),
        ("twelve", 2, TypeError, "twelve"),
        (None, 2, TypeError, "None"),
    ],
)
def test_spawn_refuses_what_it_cannot_count(source, n, kind, named):
    with expect.raises(kind, named):
        spawn(source, n)


def test_only_pcg64_can_be_saved():
    with expect.raises(ValueError, "MT19937"):
        save_state(np.random.Generator(np.random.MT19937(0)))


@pytest.mark.parametrize("missing", ["bit_generator", "seed_sequence"])
def test_a_state_with_something_missing_is_refused(missing):
    state = {"bit_generator": np.random.PCG64(0).state, "seed_sequence": {"entropy": 0, "spawn_key": []}}
    del state[missing]
    with expect.raises(ValueError, missing):
        restore_state(state)
