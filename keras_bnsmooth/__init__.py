"""How batch normalization smooths the loss landscape, for anybody's Keras model.

Data flows one way through the sub-packages:

    data -> models (with layers) -> training -> callbacks -> probes -> autodiff
                                                    |
                                                    v
                                                 records
"""

__version__ = "0.1.0"
