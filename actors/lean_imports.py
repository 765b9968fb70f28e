"""Keeps libraries from importing optional packages that happen to be installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def importing_without(*names: str) -> Iterator[None]:
    """Let imports within this find no package of these names, unless one is imported already."""
    hidden = [name for name in names if name not in sys.modules]
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None stands for what is missing
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
