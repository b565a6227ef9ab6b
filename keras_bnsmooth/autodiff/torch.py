"""PyTorch implementation of the `autodiff` interface: everything runs eagerly."""

import itertools
import weakref

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from keras_bnsmooth.autodiff.function_cache import cached
from keras_bnsmooth.autodiff.objective import has_given_loss, loss_of
from keras_bnsmooth.autodiff.replacement import calls_of, replaced
from keras_bnsmooth.autodiff.training_loss import (
    loss_scale,
    raise_custom_gradient,
    second_derivative_errors,
    stateless,
    training_loss,
)


def value(model, weights, state, x, y, sample_weight=None):
    """Returns the training loss."""
    # A given loss may differentiate itself, as adversarial training does.
    with torch.set_grad_enabled(has_given_loss(model)):
        return training_loss(model, weights, state, x, y, sample_weight).detach()


def value_and_grad(
    model, weights, state, x, y, sample_weight=None, with_respect_to=None
):
    """Returns the training loss and its gradient."""
    weights = [w.detach() for w in weights]
    positions = range(len(weights)) if with_respect_to is None else with_respect_to
    differentiated = [weights[position].requires_grad_() for position in positions]
    with torch.enable_grad():
        loss = training_loss(model, weights, state, x, y, sample_weight)
        # Rematerialized layers run again here, and must see the same weights.
        with stateless(model, weights, state):
            gradient = _differentiate(model, loss, differentiated)
    return loss.detach(), gradient


def own_value_and_grad(model, x, y, sample_weight):
    """Returns loss and gradient of the model's own variables."""
    weights = [v.value for v in model.trainable_variables]
    with torch.enable_grad():
        loss = loss_of(model)(model, x, y, sample_weight)
        gradient = _differentiate(model, loss, weights)
    return loss.detach(), gradient


def hessian_vector_product(
    model, weights, vector, state, x, y, sample_weight=None, stops=True
):
    """Returns the product of the Hessian of the training loss and a vector."""
    batch = (x, y, sample_weight)
    return _linearize(model, weights, state, *batch, stops=stops)[2](vector)


def stops_gradients(model, *batch):
    """Returns whether the training loss calls `torch.Tensor.detach`."""
    with calls_of(torch.Tensor, "detach") as calls:
        compiled(model, value)(*batch)
    return bool(calls)


def linearize(model, x, y, sample_weight, weights):
    """Returns loss, gradient and the function v -> H v, which share a gradient."""
    return compiled(model, _linearize_at)(x, y, sample_weight, weights)


def _linearize_at(model, present, state, x, y, sample_weight, weights):
    weights = present if weights is None else weights
    return _linearize(model, weights, state, x, y, sample_weight)


def _linearize(model, weights, state, *batch, stops=True):
    weights = [w.detach().requires_grad_() for w in weights]
    # The other implementations of attention have no second derivative.
    attention = sdpa_kernel(SDPBackend.MATH)
    with torch.enable_grad(), attention, second_derivative_errors(RuntimeError):
        identity = {} if stops else {"detach": lambda tensor: tensor}
        with replaced(torch.Tensor, **identity):
            loss = training_loss(model, weights, state, *batch)
        _refuse_custom_gradients(loss)
        gradient = _differentiate(model, loss, weights, create_graph=True)

    def product(vector):
        with second_derivative_errors(RuntimeError):
            return _gradient(gradient, weights, list(vector), retain_graph=True)

    return loss.detach(), [g.detach() for g in gradient], product


def _differentiate(model, loss, weights, **options):
    scale = loss_scale(model)
    if scale is None:
        return _gradient([loss], weights, **options)
    gradient = _gradient([loss * scale.to(loss.dtype)], weights, **options)
    return [g / scale.to(g.dtype) for g in gradient]


def _gradient(targets, weights, grad_outputs=None, **options):
    # Targets that depend on none of the weights have no graph.
    connected = [target.requires_grad for target in targets]
    if not any(connected):
        return [torch.zeros_like(w) for w in weights]
    if grad_outputs is not None:
        grad_outputs = list(itertools.compress(grad_outputs, connected))
    gradient = torch.autograd.grad(
        list(itertools.compress(targets, connected)),
        weights,
        grad_outputs,
        allow_unused=True,
        materialize_grads=True,
        **options,
    )
    return list(gradient)


def _refuse_custom_gradients(loss):
    """Raises a ValueError if the loss contains a `torch.autograd.Function`."""
    seen, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            raise_custom_gradient(type(node).__name__.removesuffix("Backward"))
        waiting += [following for following, _ in node.next_functions]


def shard_batch(model, tensors):
    """Returns `tensors`: Keras trains on one device."""
    return tensors


def run_on_replicas(model, function, *tensors):
    """Returns `function(*tensors)`."""
    return function(*tensors)


def sequential_map(function, values):
    """Maps `function` over `values` one element at a time."""
    return torch.stack([function(value) for value in values])


def optimization_barrier(tensors, others):
    """Returns `tensors`: eager execution is sequential."""
    return tensors


def compiled(model, function, **options):
    """Returns `function` of the model's current variables."""
    return cached(model, function, options, _at_present_values)


def trace():
    """Returns None: everything runs eagerly."""
    return None


def prefers_small_graphs(model):
    """Returns False: there is no graph."""
    return False


def _at_present_values(model, function):
    reference = weakref.ref(model)

    @torch.no_grad()
    def at_present_values(*arrays):
        model = reference()
        weights = [v.value for v in model.trainable_variables]
        state = [v.value for v in model.non_trainable_variables]
        return function(weights, state, *arrays)

    return at_present_values
