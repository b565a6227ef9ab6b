"""Splits a TensorFlow function into what depends on its last arguments and the rest."""

from collections.abc import Callable, Sequence

import tensorflow as tf


def split(
    function: Callable, first: Sequence, last: Sequence, compile_function: Callable
) -> tuple[Callable, Callable] | None:
    """Compiles `function(first, last)` in two parts.

    Args:
        function: Function of two lists of tensors that returns two nested structures,
            of which only the second depends on `last`.
        first: Example of the first argument.
        last: Example of the second argument.
        compile_function: Returns a function of tensors compiled.

    Returns:
        `prepare(first)`, which returns the first result and a list of all other tensors
        that can be computed without `last`; and `finish(last, tensors)`, which returns
        the second result. None if TensorFlow cannot separate them, as with loops, or if
        the function assigns variables or draws from a `tf.random.Generator`, which it
        would not rewind.
    """
    specifications = [
        [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in argument]
        for argument in (first, last)
    ]
    whole = tf.compat.v1.wrap_function(function, specifications)
    # The parts hold what leads to their outputs, and no other assignments.
    if any(_changes_state(op.type) for op in whole.graph.get_operations()):
        return None
    inputs = whole.graph.inputs[: len(first) + len(last)]
    results = whole.graph.structured_outputs
    boundary = _boundary(
        tf.nest.flatten(results[1]), _dependent(whole.graph, inputs[len(first) :])
    )
    try:
        prepare = whole.prune(inputs[: len(first)], [results[0], boundary])
        finish = whole.prune([*inputs[len(first) :], *boundary], results[1])
    except KeyError:  # It does not find the outputs that a loop has for its gradient.
        return None

    # What `prune` returns is optimized only inside another function.
    return (
        compile_function(lambda first: prepare(*first)),
        compile_function(lambda last, tensors: finish(*last, *tensors)),
    )


def _changes_state(kind):
    return kind == "RngReadAndSkip" or kind.startswith(("Assign", "ResourceScatter"))


def _dependent(graph, tensors):
    """Returns the operations that depend on any of the tensors."""
    found = {tensor.op for tensor in tensors}
    for op in graph.get_operations():  # in the order of creation
        # Gradients of some operations delay others by control dependencies.
        before = [*(tensor.op for tensor in op.inputs), *op.control_inputs]
        if not found.isdisjoint(before):
            found.add(op)
    return found


def _boundary(outputs, dependent):
    """Returns the tensors that enter the dependent part of the graph of `outputs`."""
    boundary, seen, waiting = {}, set(), [output.op for output in outputs]
    while waiting:
        op = waiting.pop()
        if op in seen:
            continue
        seen.add(op)
        for tensor in op.inputs:
            if tensor.op in dependent:
                waiting.append(tensor.op)
            elif tensor.op.type != "Const":  # both parts hold the constants
                boundary[tensor.ref()] = tensor
    return list(boundary.values())
