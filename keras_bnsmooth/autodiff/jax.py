"""Differentiation and compilation on JAX; what each function does stands in tensorflow.

The variables of a model are arguments of what is compiled, never constants in it: in
the middle of `fit` Keras keeps their values elsewhere and gives their memory away.
"""

import weakref

import jax
import keras
from jax import numpy as jnp

from keras_bnsmooth.autodiff.function_cache import cached
from keras_bnsmooth.autodiff.training_loss import loss_scale, training_loss


def loss_and_gradient(
    model, weights, state, x, y, sample_weight=None, with_respect_to=None
):
    """Returns the training loss at given weights, and its gradient."""
    function = cached(model, _differentiate, {}, _jit)
    # The scale is a variable, read here since the inner function is traced but once.
    scale = loss_scale(model)
    loss, gradient = function(list(weights), list(state), x, y, sample_weight, scale)
    if with_respect_to is not None:
        gradient = [gradient[position] for position in with_respect_to]
    return loss, gradient


def _differentiate(model, weights, state, x, y, sample_weight, scale):
    def scaled_and_plain(weights):
        loss = training_loss(model, weights, state, x, y, sample_weight)
        return (loss if scale is None else loss * scale.astype(loss.dtype)), loss

    gradient, loss = jax.grad(scaled_and_plain, has_aux=True)(weights)
    if scale is not None:
        gradient = [g / scale.astype(g.dtype) for g in gradient]
    return loss, gradient


def map_in_order(function, values):
    """Returns `function` of each element of an array, stacked.

    Not by `jax.lax.map`: on a CPU, XLA runs convolutions in a loop about ten times
    slower. And not by `after` alone, which XLA on a CPU forgets before it decides what
    runs at once: each value waits for a zero made of the result before it.
    """
    results = []
    for value in values:
        if results:
            last = jnp.sum(results[-1])
            value = value + 0 * jnp.where(jnp.isfinite(last), last, 0)
        results.append(function(value))
    return jnp.stack(results)


def after(tensors, others):
    """Returns `tensors`, which are not available before `others` are computed."""
    return jax.lax.optimization_barrier((tensors, others))[0]


def compiled(model, function, **options):
    """Returns `function(model, weights, state, *arrays, **options)`, compiled."""
    return cached(model, function, options, _compile_outermost)


def compiles_with_xla(model):
    """Returns whether `compiled` compiles."""
    return bool(model.jit_compile) and not model.run_eagerly


def _compile_outermost(model, function):
    reference = weakref.ref(model)

    def at(weights, state, optimizer_state, arrays):
        optimizer = _optimizer_variables(reference())
        with keras.StatelessScope(zip(optimizer, optimizer_state, strict=True)):
            return function(weights, state, *arrays)

    at = _jit(model, at)

    def at_present_values(*arrays):
        model = reference()
        weights = [v.value for v in model.trainable_variables]
        state = [v.value for v in model.non_trainable_variables]
        optimizer_state = [v.value for v in _optimizer_variables(model)]
        return at(weights, state, optimizer_state, arrays)

    return at_present_values


def _optimizer_variables(model):
    """Among them is the loss scale of mixed float16."""
    optimizer = getattr(model, "optimizer", None)
    return [] if optimizer is None else optimizer.variables


def _jit(model, function):
    return jax.jit(function) if compiles_with_xla(model) else function
