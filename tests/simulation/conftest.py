"""pytest-asyncio leaves a loop of its own unclosed when a synchronous test ran before the first asynchronous one.

On Python 3.11 it asks for the current loop around each test, which creates one if none was ever set; nobody closes it
and the warning fails the run. "None is set" is a state that it handles.
"""

from __future__ import annotations

import asyncio

asyncio.set_event_loop(None)
