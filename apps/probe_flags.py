"""Flags for probes, which both training programs have."""

import math

from absl import flags

from keras_bnsmooth.callbacks import ActivationProbe, ICSProbe, LandscapeProbe

_EVERY = {
    "probe_every": "the loss landscape along the gradient: loss, gradient and beta",
    "random_probe_every": "the loss landscape along a random direction",
    "ics_every": "internal covariate shift, layer by layer",
    "activations_every": "activations of one unit of each layer",
}


def define():
    """Defines the flags."""
    for name, what in _EVERY.items():
        flags.DEFINE_integer(
            name, 0, f"Steps between measurements of {what}; 0 is never.", lower_bound=0
        )


def common_interval(*steps):
    """The greatest number of steps that divides all of `steps` and the probes' ones."""
    return math.gcd(*steps, *(flags.FLAGS[name].value for name in _EVERY))


def callbacks(batch_of_step, workdir, successive=True, **landscape_arguments):
    """Returns the callbacks that the flags ask for.

    Args:
        batch_of_step: Function from a step to its batch: probes measure on the very
            batch of training.
        workdir: The run directory.
        successive: Whether to measure activations at the step after as well, for
            the change of their moments between two steps.
        **landscape_arguments: Further arguments of `LandscapeProbe`.
    """
    makers = {
        "probe_every": lambda every: LandscapeProbe(
            batch_of_step, every=every, log_dir=workdir, **landscape_arguments
        ),
        "random_probe_every": lambda every: LandscapeProbe(
            batch_of_step,
            every=every,
            log_dir=workdir,
            direction="random",
            name="landscape_random",
            **landscape_arguments,
        ),
        "ics_every": lambda every: ICSProbe(
            batch_of_step, every=every, log_dir=workdir
        ),
        "activations_every": lambda every: ActivationProbe(
            batch_of_step, every=every, log_dir=workdir, successive=successive
        ),
    }
    return [
        make(flags.FLAGS[name].value)
        for name, make in makers.items()
        if flags.FLAGS[name].value
    ]
