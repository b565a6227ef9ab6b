"""JAX implementation of the `autodiff` interface.

A model's variables are arguments of compiled functions, never constants in them: during
`fit`, Keras keeps their values elsewhere and donates their memory.
"""

import weakref
from pathlib import Path

import jax
import keras
import numpy as np
from jax import numpy as jnp

from keras_bnsmooth.autodiff.function_cache import cached
from keras_bnsmooth.autodiff.objective import has_given_loss, loss_of
from keras_bnsmooth.autodiff.replacement import calls_of, replaced
from keras_bnsmooth.autodiff.training_loss import (
    check_divisible,
    loss_scale,
    raise_custom_gradient,
    second_derivative_errors,
    training_loss,
)

try:
    from jax.extend.core import get_opaque_trace_state
except ImportError:  # before JAX 0.10
    from jax.core import get_opaque_trace_state
try:
    from jax.extend.core import jaxprs_in_params
except ImportError:  # before JAX 0.8
    from jax.core import jaxprs_in_params


def value(model, weights, state, x, y, sample_weight=None):
    """Returns the training loss."""
    function = cached(model, training_loss, {}, _jit)
    return function(list(weights), list(state), x, y, sample_weight)


def value_and_grad(
    model, weights, state, x, y, sample_weight=None, with_respect_to=None
):
    """Returns the training loss and its gradient."""
    function = cached(model, _differentiate, {}, _jit)
    # The scale is a variable, read here because the inner function is traced once.
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


def own_value_and_grad(model, x, y, sample_weight):
    """Returns loss and gradient as `JAXTrainer.train_step` takes them."""
    if keras.distribution.distribution() is not None:
        return None
    scale = loss_scale(model)
    optimizer = [v.value for v in _optimizer_variables(model)]
    kinds = model.trainable_variables, model.non_trainable_variables
    weights, state = ([v.value for v in of_kind] for of_kind in kinds)
    metrics = [v.value for v in model.metrics_variables]

    def of_keras(weights, state, optimizer):
        scaled, (loss, *_) = model.compute_loss_and_updates(
            weights,
            state,
            metrics,
            x,
            y,
            sample_weight,
            training=True,
            optimizer_variables=optimizer,
        )
        return scaled, loss

    def given(weights, state, optimizer):
        values = [*zip(kinds[0], weights, strict=True)]
        values += [*zip(kinds[1], state, strict=True)]
        values += [*zip(_optimizer_variables(model), optimizer, strict=True)]
        with keras.StatelessScope(values, collect_losses=True):
            loss = loss_of(model)(model, x, y, sample_weight)
            return loss if scale is None else loss * scale.astype(loss.dtype), loss

    function = given if has_given_loss(model) else of_keras
    differentiate = _jit(model, jax.grad(function, has_aux=True))
    gradient, loss = differentiate(weights, state, optimizer)
    if scale is not None:
        gradient = [g / scale.astype(g.dtype) for g in gradient]
    return loss, gradient


def hessian_vector_product(
    model, weights, vector, state, x, y, sample_weight=None, stops=True
):
    """Returns the product of the Hessian of the training loss and a vector."""
    function = cached(model, _differentiate_twice, {"stops": stops}, _jit)
    scale = loss_scale(model)
    batch = (x, y, sample_weight)
    with second_derivative_errors(NotImplementedError, TypeError):
        return function(list(weights), list(vector), list(state), *batch, scale)


def stops_gradients(model, x, y, sample_weight):
    """Returns whether the training loss calls `jax.lax.stop_gradient`."""

    def loss(weights, state):
        return training_loss(model, weights, state, x, y, sample_weight)

    variables = model.trainable_variables, model.non_trainable_variables
    with calls_of(jax.lax, "stop_gradient") as calls:
        jax.eval_shape(loss, *([v.value for v in of_kind] for of_kind in variables))
    return bool(calls)


def linearize(model, x, y, sample_weight, weights):
    """Returns None: what `jax.jit` compiles cannot return functions."""
    return None


def _differentiate_twice(
    model, weights, vector, state, x, y, sample_weight, scale, *, stops
):
    def loss(weights):
        return training_loss(model, weights, state, x, y, sample_weight)

    def gradient(weights):
        return _differentiate(model, weights, state, x, y, sample_weight, scale)[1]

    _refuse_custom_gradients(jax.make_jaxpr(loss)(weights).jaxpr)
    identity = {} if stops else {"stop_gradient": lambda x: x}
    with replaced(jax.lax, **identity):
        return jax.jvp(gradient, (weights,), (vector,))[1]


def _refuse_custom_gradients(jaxpr):
    """Raises a ValueError if a function other than JAX's own defines its gradient."""
    for equation in jaxpr.eqns:
        for inner in jaxprs_in_params(equation.params):
            if equation.primitive.name.startswith("custom_"):
                function = inner.debug_info
                path = Path(function.func_filename)
                # The latter holds `jax.custom_gradient`, which wraps a user's function.
                if (
                    not path.is_relative_to(Path(jax.__file__).parent)
                    or path.name == "custom_derivatives.py"
                ):
                    raise_custom_gradient(f"{function.func_name} ({path.name})")
            _refuse_custom_gradients(inner)


def shard_batch(model, tensors):
    """Distributes a batch over the devices of all processes."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return tensors

    def shard(tensor):
        host = np.asarray(tensor)
        sharding = distribution.get_data_layout(host.shape).backend_layout
        check_divisible(host.shape[0], sharding.mesh.size)
        return jax.make_array_from_callback(host.shape, sharding, host.__getitem__)

    return jax.tree.map(shard, tensors)


def run_on_replicas(model, function, *tensors):
    """Returns `function(*tensors)`: one program sees the shards of all devices."""
    return function(*tensors)


def sequential_map(function, values):
    """Maps `function` over `values` one element at a time.

    `jax.lax.map` is no option: on a CPU, XLA runs convolutions inside a loop about
    ten times slower. Neither is `optimization_barrier`, which XLA drops on a CPU before
    it schedules. So each value depends on a zero computed from the previous result.
    """
    results = []
    for value in values:
        if results:
            last = jnp.sum(results[-1])
            value = value + 0 * jnp.where(jnp.isfinite(last), last, 0)
        results.append(function(value))
    return jnp.stack(results)


def optimization_barrier(tensors, others):
    """Returns `tensors`, available only after `others` are computed."""
    return jax.lax.optimization_barrier((tensors, others))[0]


def compiled(model, function, **options):
    """Returns `function` of the model's current variables, compiled."""
    return cached(model, function, options, _compile_outermost)


def trace():
    """Returns a token of the innermost trace."""
    return get_opaque_trace_state()


def prefers_small_graphs(model):
    """Returns whether compile time grows faster than linearly with graph size."""
    return _compiles(model)


def _compile_outermost(model, function):
    reference = weakref.ref(model)

    def at(weights, state, optimizer_state, arrays):
        optimizer = _optimizer_variables(reference())
        with keras.StatelessScope(zip(optimizer, optimizer_state, strict=True)):
            return function(weights, state, *arrays)

    at = _jit(model, at, out_shardings=_replicated())

    def at_present_values(*arrays):
        model = reference()
        weights = [v.value for v in model.trainable_variables]
        state = [v.value for v in model.non_trainable_variables]
        optimizer_state = [v.value for v in _optimizer_variables(model)]
        return at(weights, state, optimizer_state, arrays)

    return at_present_values


def _optimizer_variables(model):
    """They include the loss scale of mixed float16."""
    optimizer = getattr(model, "optimizer", None)
    return [] if optimizer is None else optimizer.variables


def _replicated():
    """The sharding that replicates results on every process, or None."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return None
    return jax.sharding.NamedSharding(
        distribution.device_mesh.backend_mesh, jax.sharding.PartitionSpec()
    )


def _jit(model, function, **options):
    return jax.jit(function, **options) if _compiles(model) else function


def _compiles(model):
    return bool(model.jit_compile) and not model.run_eagerly
