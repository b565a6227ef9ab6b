import pytest

from apps.errors import ProcessLostError
from apps.training import processes


@pytest.fixture
def jax_error(monkeypatch):
    errors = pytest.importorskip("jax").errors
    monkeypatch.setattr(processes, "count", lambda: 2)
    return errors.JaxRuntimeError


@pytest.mark.parametrize(
    "message",
    [
        "UNAVAILABLE: The following tasks are unhealthy (stopped sending heartbeats)",
        "DEADLINE_EXCEEDED: Barrier timed out",
        "FAILED_PRECONDITION: Gloo all-reduce failed: Connection closed by peer",
        "INTERNAL: NCCL operation ncclGroupEnd() failed: remote process exited",
    ],
)
def test_a_lost_process_is_reported(jax_error, message):
    with (
        pytest.raises(ProcessLostError, match="restart all of them"),
        processes.detect_lost_processes(),
    ):
        raise jax_error(message)


@pytest.mark.parametrize(
    "message",
    [
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.",
        "INTERNAL: NCCL operation failed: Cuda failure 2 'out of memory'",
        "INVALID_ARGUMENT: Executable expected shape f32[2]",
        "INTERNAL: ptxas exited with non-zero error code",
    ],
)
def test_other_errors_pass_unchanged(jax_error, message):
    error = jax_error(message)
    with pytest.raises(jax_error) as caught, processes.detect_lost_processes():
        raise error
    assert caught.value is error
