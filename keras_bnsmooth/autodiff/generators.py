"""Global random generators, left as they were by whatever draws from them."""

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_bnsmooth import keras_model
from keras_bnsmooth.autodiff.replacement import replaced


@contextlib.contextmanager
def preserve_global_generators() -> Iterator[None]:
    """Context that restores all global random generators on exit.

    Preserves those of Python, NumPy, PyTorch (on the CPU and on GPUs), TensorFlow and
    Keras, whichever backend is in use. What runs inside starts from their present
    states, so entering the context again replays the same numbers. The exception is
    TensorFlow's operations that keep a state of their own, such as `tf.random.normal`:
    they draw other numbers inside, which leaves those outside as they were.

    Example:
    >>> import numpy as np
    >>> with preserve_global_generators():
    ...     inside = np.random.normal()
    >>> bool(np.random.normal() == inside)
    True
    """
    with contextlib.ExitStack() as stack:
        for preserve in (_tensorflow, _keras):
            stack.enter_context(preserve())
        states = global_states()
        try:
            yield
        finally:
            restore(states)


@contextlib.contextmanager
def replay_global_generators() -> Iterator[None]:
    """Context of one evaluation of a model, the next of which draws the same numbers.

    Rewinds the generators of Python, NumPy and PyTorch on exit, and every
    `tf.random.Generator` that was drawn from. May be entered while a graph is traced;
    the graph then rewinds those of TensorFlow whenever it runs.
    """
    states = global_states()
    with _rewound_tensorflow_generators():
        try:
            yield
        finally:
            restore(states)


def global_states() -> list[tuple[Callable[[Any], None], Any]]:
    """Returns the states of the generators of Python, NumPy and PyTorch.

    Returns:
        A list of (function that sets a state, state), to be passed to `restore`.
    """
    generators: list = [
        (random.getstate, random.setstate),
        (lambda: np.random.get_state(legacy=False), np.random.set_state),
    ]
    torch = sys.modules.get("torch")
    if torch is not None:
        generators.append((torch.get_rng_state, torch.set_rng_state))
        # Asking for the state of a GPU that is not in use would allocate memory there.
        if torch.cuda.is_initialized():
            cuda = torch.cuda
            generators.append((cuda.get_rng_state_all, cuda.set_rng_state_all))
        if torch.backends.mps.is_available():
            generators.append((torch.mps.get_rng_state, torch.mps.set_rng_state))
    return [(setter, getter()) for getter, setter in generators]


def restore(states: list[tuple[Callable[[Any], None], Any]]) -> None:
    """Sets the generators to states that `global_states` returned."""
    for setter, state in states:
        setter(state)


@contextlib.contextmanager
def _tensorflow():
    """Preserves TensorFlow's generator of seeds and its global `tf.random.Generator`.

    Operations such as `tf.random.normal` keep a stream per pair of seeds, which cannot
    be rewound. So inside they get seeds that no operation outside gets.
    """
    if "tensorflow" not in sys.modules:
        yield
        return
    from tensorflow.python.eager import context
    from tensorflow.python.ops import stateful_random_ops

    eager = context.context()
    seed, seeds = eager._seed, getattr(eager, "_rng", None)
    if seeds is not None:
        eager._rng = random.Random(repr(seeds.getstate()))
    generator = stateful_random_ops.global_generator
    state = None if generator is None else generator.state.numpy()
    try:
        yield
    finally:
        eager._seed = seed
        if seeds is not None:
            eager._rng = seeds
        stateful_random_ops.global_generator = generator
        if generator is not None:
            generator.state.assign(state)


# The generator that measurements created before training did. Compiled functions use
# it, so it must live.
_created: list[keras.random.SeedGenerator] = []


@contextlib.contextmanager
def _keras():
    """Preserves the generator of `keras.random` functions that are given no seed."""
    generator = keras_model.global_seed_generator()
    if generator is None and _created:
        keras_model.set_global_seed_generator(_created[0])
    inside = keras_model.global_seed_generator()
    state = None if inside is None else np.array(inside.state.numpy())
    try:
        yield
    finally:
        if inside is None and keras_model.global_seed_generator() is not None:
            _created[:] = [keras_model.global_seed_generator()]
        keras_model.set_global_seed_generator(generator)
        if inside is not None:
            inside.state.assign(state)


@contextlib.contextmanager
def _rewound_tensorflow_generators():
    """Rewinds each `tf.random.Generator`, wherever it is held, that is drawn from."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    # Graphs cannot pass what is read in a branch or a loop to the outside.
    here = tf.executing_eagerly() or tf.compat.v1.get_default_graph()
    states = {}
    skip = tf.random.Generator.skip

    def skip_and_remember(generator, delta):
        graph = tf.executing_eagerly() or tf.compat.v1.get_default_graph()
        if graph is here and id(generator) not in states:
            states[id(generator)] = (generator, tf.identity(generator.state))
        return skip(generator, delta)

    # All draws go through this method.
    try:
        with replaced(tf.random.Generator, skip=skip_and_remember):
            yield
    finally:
        for generator, state in states.values():
            generator.state.assign(state)
