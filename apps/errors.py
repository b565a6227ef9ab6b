"""Errors that end a program with one line instead of a traceback."""

import contextlib


class UserError(ValueError):
    """Input that a program cannot use; the message says what to do."""


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
