"""Argument checks: one line with the name, the value received, what is accepted."""

import math
import numbers


def check_real(name, value, *, low, high=math.inf, open_low=False, finite=True):
    """Returns `value` as a float if it is a real number in the given interval.

    Args:
        name: Name of the argument, for the message.
        value: The value received.
        low: Smallest value accepted.
        high: Largest value accepted.
        open_low: Whether `low` itself is refused.
        finite: Whether infinity is refused.

    Raises:
        ValueError: `value` is not a real number, NaN, or outside the interval.
    """
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # Written so that NaN, which compares false with everything, is refused.
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
    """Returns `axis` as an int; its range is known at `build` only.

    Raises:
        ValueError: `axis` is not one integer.
    """
    if isinstance(axis, numbers.Integral) and not isinstance(axis, bool):
        return int(axis)
    raise ValueError(f"Argument `axis` must be an integer. Received: axis={axis!r}")


def check_channel_axis(axis, input_shape):
    """Returns `axis` counted from the front, for inputs of `input_shape`.

    Raises:
        ValueError: The inputs have fewer than two axes, `axis` is none of theirs,
            or the size of that axis is unknown.
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
        ValueError: The ranks do not fit.
    """
    if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
        raise ValueError(
            "Argument `mask` must have one axis less than `inputs`. Received: "
            f"mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)}"
        )
