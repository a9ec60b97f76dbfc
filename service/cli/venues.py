"""``elr venues``: what each venue provides."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from service.config import load
from service.wiring.setup import endpoints_of, rules_of, venues_of


def run(options: argparse.Namespace) -> int:
    config = load(None)
    endpoints = endpoints_of(config)
    rules = {item.venue: item for item in rules_of(config)}
    grid = Table("venue", "exchange", "addresses", "max age: mark / funding / oi", "limits")
    for name, venue in venues_of(config).items():
        rule, limits = rules[name], venue.limits
        ages = " / ".join(f"{item.max_age_ms / 1000:g} s" for item in (rule.mark, rule.funding, rule.oi))
        grid.add_row(
            name,
            rule.exchange,
            "\n".join([*endpoints[name].ws.values(), endpoints[name].rest]),
            ages,
            f"{limits.connects} connects / {limits.connect_period_s:g} s\n{limits.max_topics} topics a socket\n"
            f"{limits.rest_weight:g} weight / {limits.rest_period_s:g} s",
        )
    Console(soft_wrap=False).print(grid)
    return 0
