"""Loss and gradient of a Keras model at weights of one's choice.

One file a backend of Keras, all with the same functions; no other folder of the
package differentiates or compiles anything.
"""

import importlib

import keras

from keras_bnsmooth.autodiff.stateless import call, stateless
from keras_bnsmooth.backend import BACKENDS

if keras.backend.backend() not in BACKENDS:
    raise ImportError(
        f"keras_bnsmooth differentiates on the {', '.join(BACKENDS)} backends of "
        f"Keras; KERAS_BACKEND is {keras.backend.backend()!r}."
    )

_backend = importlib.import_module(f"{__name__}.{keras.backend.backend()}")
optimization_barrier = _backend.optimization_barrier
compiled = _backend.compiled
value_and_grad = _backend.value_and_grad
sequential_map = _backend.sequential_map
run_on_replicas = _backend.run_on_replicas
prefers_small_graphs = _backend.prefers_small_graphs
shard_batch = _backend.shard_batch

__all__ = [
    "call",
    "compiled",
    "optimization_barrier",
    "prefers_small_graphs",
    "run_on_replicas",
    "sequential_map",
    "shard_batch",
    "stateless",
    "value_and_grad",
]
