"""How batch normalization smooths the loss landscape, for anybody's Keras model.

Data flows one way through the sub-packages:

    data -> models (with layers) -> training -> callbacks -> probes -> autodiff
                                                    |
                                                    v
                                                 records
"""

from keras_bnsmooth import backend

__version__ = "0.1.0"

backend.check()
