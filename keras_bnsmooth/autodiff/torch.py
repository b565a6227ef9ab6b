"""PyTorch implementation of the `autodiff` interface: everything runs eagerly."""

import weakref

import torch

from keras_bnsmooth.autodiff.function_cache import cached
from keras_bnsmooth.autodiff.training_loss import loss_scale, training_loss


def value_and_grad(
    model, weights, state, x, y, sample_weight=None, with_respect_to=None
):
    """Returns the training loss and its gradient."""
    weights = [w.detach() for w in weights]
    positions = range(len(weights)) if with_respect_to is None else with_respect_to
    differentiated = [weights[position].requires_grad_() for position in positions]
    scale = loss_scale(model)
    with torch.enable_grad():
        loss = training_loss(model, weights, state, x, y, sample_weight)
        scaled = loss if scale is None else loss * scale.to(loss.dtype)
        if scaled.requires_grad:
            gradient = torch.autograd.grad(
                scaled, differentiated, allow_unused=True, materialize_grads=True
            )
        else:  # the loss depends on none of the weights
            gradient = [torch.zeros_like(w) for w in differentiated]
    if scale is not None:
        gradient = [g / scale.to(g.dtype) for g in gradient]
    return loss.detach(), list(gradient)


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
