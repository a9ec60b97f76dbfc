"""Hand-made history files."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from pathlib import Path

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
T0 = 1_700_006_400_000  # 2023-11-15T00:00Z


def written(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    text = "\n".join([",".join(header), *(",".join(str(cell) for cell in row) for row in rows)]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def hourly(
    path: Path, hours: int, start_ms: int = T0, step_ms: int = HOUR_MS, flush_at: int | None = None, waves: float = 1.0
) -> Path:
    """Wavy, aperiodic numbers; at ``flush_at`` open interest and price fall for three hours."""
    rows = []
    coins, price = 1_000.0, 40_000.0
    for i in range(hours):
        coins *= math.exp(waves * (0.002 * math.sin(i * 1.7) + 0.001 * math.cos(i * 0.31)))
        price *= math.exp(0.003 * math.sin(i * 2.3) + 0.001 * math.cos(i * 0.17))
        if flush_at is not None and flush_at <= i < flush_at + 3:
            coins, price = coins * 0.93, price * 0.97
        funding = 1e-4 + 5e-5 * math.sin(i * 0.11)
        rows.append((start_ms + i * step_ms, price, price * (1 - 1e-4 * math.sin(i)), coins, funding, 8, 1.5, 0.5))
    header = (
        "time", "mark", "index", "open_interest_coins", "funding_rate", "funding_interval_h", "liquidated_long_coins",
        "liquidated_short_coins",
    )  # fmt: skip
    return written(path, header, rows)
