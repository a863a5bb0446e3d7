"""Dask's streams, kept going where a clock is set back. Importing this is enough.

Dask dates its next batch by the clock on the wall and sends nothing before that moment: with a
clock set back by a day in between, a scheduler and its workers fall silent for a day
(``distributed.batched``, 2026.7). Counted by what only goes on, the wait that tornado measures by
the wall is over at once, and what was said in one turn of the loop travels together.

A scheduler that Proofhouse does not start takes it by ``dask scheduler --preload tasks.streams``.
"""

import time

from distributed import batched

batched.time = time.monotonic  # type: ignore[attr-defined] # what it imports is not its own
