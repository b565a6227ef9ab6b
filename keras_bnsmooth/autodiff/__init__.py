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
after = _backend.after
compiled = _backend.compiled
loss_and_gradient = _backend.loss_and_gradient
map_in_order = _backend.map_in_order
on_each_share = _backend.on_each_share
prefers_small_graphs = _backend.prefers_small_graphs
split = _backend.split

__all__ = [
    "after",
    "call",
    "compiled",
    "loss_and_gradient",
    "map_in_order",
    "on_each_share",
    "prefers_small_graphs",
    "split",
    "stateless",
]
