"""Argument checks. Messages name the argument, what it accepts, what it received."""

import math
import numbers


def check_real(name, value, *, low, high=math.inf, open_low=False, finite=True):
    """Returns `value` as a float if it is a real number in the given interval.

    Args:
        name: Name of the argument, for the message.
        value: The value received.
        low: Smallest value accepted.
        high: Largest value accepted.
        open_low: Whether to reject `low` itself.
        finite: Whether to reject infinity.

    Raises:
        ValueError: If `value` is not a real number, is NaN, or is outside the interval.
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # NaN compares false with everything, so these comparisons reject it.
    accepted = is_real and (low < value if open_low else low <= value) and value <= high
    if accepted and not (finite and math.isinf(value)):
        return float(value)
    wanted = f"{'>' if open_low else '>='} {low}"
    if not math.isinf(high):
        wanted = f"in [{low}, {high}]"
    elif not finite:
        wanted += " or inf"
    raise ValueError(
        f"Argument `{name}` must be a real number {wanted}. Received: {name}={value!r}"
    )


def check_axis(axis):
    """Returns `axis` as an int; `check_channel_axis` checks its range at `build`.

    Raises:
        ValueError: If `axis` is not a single integer.
    """
    if isinstance(axis, numbers.Integral) and not isinstance(axis, bool):
        return int(axis)
    raise ValueError(f"Argument `axis` must be an integer. Received: axis={axis!r}")


def check_channel_axis(axis, input_shape):
    """Returns `axis` as a non-negative integer, for inputs of shape `input_shape`.

    Raises:
        ValueError: If the inputs have fewer than two axes, if `axis` is out of range,
            or if the size of that axis is unknown.
    """
    rank = len(input_shape)
    if rank < 2:
        raise ValueError(
            "Argument `inputs` must have at least 2 axes. "
            f"Received: inputs.shape={tuple(input_shape)}"
        )
    if not -rank <= axis < rank:
        raise ValueError(
            f"Argument `axis` must be in [{-rank}, {rank - 1}] for inputs of shape "
            f"{tuple(input_shape)}. Received: axis={axis}"
        )
    if input_shape[axis] is None:
        raise ValueError(
            "Argument `axis` must name an axis of known size; the inputs have shape "
            f"{tuple(input_shape)}. Received: axis={axis}"
        )
    return axis % rank


def check_mask(mask, inputs):
    """Checks that `mask` has one axis less than `inputs`, as Keras masks do.

    Raises:
        ValueError: If it does not.
    """
    if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
        raise ValueError(
            "Argument `mask` must have one axis less than `inputs`. Received: "
            f"mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)}"
        )
