"""Loss and gradient of a Keras model at weights of one's choice.

One file a backend of Keras, all with the same functions; no other folder of the
package differentiates or compiles anything.
"""

import keras

from keras_bnsmooth.autodiff.stateless import call, stateless

if keras.backend.backend() == "tensorflow":
    from keras_bnsmooth.autodiff.tensorflow import (
        after,
        compiled,
        loss_and_gradient,
        map_in_order,
    )
else:
    raise ImportError(
        "keras_bnsmooth differentiates on the tensorflow backend of Keras only; "
        f"KERAS_BACKEND is {keras.backend.backend()!r}."
    )

__all__ = [
    "after",
    "call",
    "compiled",
    "loss_and_gradient",
    "map_in_order",
    "stateless",
]
