"""Keeps a leak of the test tools out of the results."""

from __future__ import annotations

import asyncio

# Cause: looptime's plugin asks the loop policy for a loop in sync tests too; before the first async test the policy
# then makes one that nobody closes, and its ResourceWarning fails whichever test the collector runs in. With the
# loop set to None the policy makes none.
asyncio.set_event_loop(None)
