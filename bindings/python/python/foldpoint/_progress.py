"""How far a batch is, on the standard error."""

import sys
import time
from collections.abc import Callable


def bar() -> Callable[[int, int], None]:
    """A function that is told how many of how many are done, and says so in one line."""
    begin = time.monotonic()

    def show(done: int, total: int) -> None:
        seconds = time.monotonic() - begin
        left = seconds / done * (total - done)
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r{done} of {total} folded, {seconds:.0f} s, {left:.0f} s left {end}")
        sys.stderr.flush()

    return show
