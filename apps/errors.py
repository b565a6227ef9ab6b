"""Errors that end a program with one line instead of a traceback."""

import contextlib


class UserError(ValueError):
    """Input that a program cannot use; the message says what to do, in one line."""

    def __init__(self, message):
        super().__init__(one_line(message))


class DivergedError(RuntimeError):
    """The loss is no longer finite.

    Attributes:
        step: Last step of the interval in which the loss became non-finite.
    """

    def __init__(self, step, loss):
        super().__init__(
            f"Training diverged: the loss is {loss} in the steps up to {step}. "
            "Lower the learning rate."
        )
        self.step = step


class ProcessLostError(RuntimeError):
    """Another process that trains the same model has ended or cannot be reached."""

    def __init__(self, cause):
        super().__init__(
            "another process of this run has ended or cannot be reached; restart all "
            f"of them to resume from the last checkpoint ({cause[:200]})."
        )


@contextlib.contextmanager
def user_errors():
    """Turns a ValueError into a `UserError`, for calls whose arguments are flags."""
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from error


def one_line(text):
    """Returns text for a terminal: in one line, with control characters as escapes."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in " ".join(str(text).split())
    )


def limit_of_machine(error):
    """Returns the `UserError` for an error that larger machines do not raise, or None.

    Args:
        error: Any exception.
    """
    if isinstance(error, RecursionError):
        return UserError("the network has too many layers for Python; lower --depth.")
    # TensorFlow, JAX and PyTorch have classes of their own for this, on which nothing
    # else here depends.
    text = f"{type(error).__name__}: {error}"
    exhausted = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "OutOfMemory", "t allocate")
    if isinstance(error, MemoryError) or any(word in text for word in exhausted):
        return UserError(
            "the memory of this machine is not enough; make the network, the batch or "
            f"the data smaller ({text[:200]})."
        )
    return None
