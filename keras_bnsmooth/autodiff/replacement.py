"""Attributes of libraries, replaced for a while."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def replaced(owner: Any, **attributes: Any) -> Iterator[None]:
    """Context in which an object or module has other attributes."""
    originals = {name: getattr(owner, name) for name in attributes}
    for name, attribute in attributes.items():
        setattr(owner, name, attribute)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(owner, name, original)


@contextlib.contextmanager
def calls_of(owner: Any, name: str) -> Iterator[list]:
    """Context with a list that grows by each call of a function.

    Args:
        owner: Object or module that the function is an attribute of.
        name: Name of the attribute.
    """
    calls: list = []
    function = getattr(owner, name)

    def counted(*args, **kwargs):
        calls.append(name)
        return function(*args, **kwargs)

    with replaced(owner, **{name: counted}):
        yield calls
