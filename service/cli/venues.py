"""``elr venues``: what each venue provides."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from service.config import load
from service.venues import VENUES
from service.venues.changes import CHANGES

PIPED_WIDTH = 160


def run(options: argparse.Namespace) -> int:
    config = load(None)
    grid = Table(
        "venue", "exchange", "on by default", "addresses", "max age: mark / funding / oi", "oi, sides", "limits"
    )
    for name, venue in VENUES.items():
        section = config.venues.of(name)
        rule, limits = venue.rules_for(section.oi_poll_s), venue.limits
        ages = " / ".join(f"{item.max_age_ms / 1000:g} s" for item in (rule.mark, rule.funding, rule.oi))
        grid.add_row(
            name,
            rule.exchange,
            "yes" if section.enabled else "no",
            "\n".join([*venue.endpoints.ws.values(), venue.endpoints.rest]),
            ages,
            f"{rule.oi_figure.name},\n{rule.oi_figure.sides}",
            f"{limits.connects} connects / {limits.connect_period_s:g} s, {limits.max_topics} topics a socket,\n"
            f"HTTP weight {limits.rest_weight:g} / {limits.rest_period_s:g} s",
        )
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(grid)
    for change in CHANGES:
        if not change.handled:
            whose = ", ".join(change.venues) or "all venues"
            print(f"{whose}: end on {change.day}: {change.what} ({change.evidence}). {change.then}")
    return 0
