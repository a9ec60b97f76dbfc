"""Back-test: history files in, rows for the engine; scored ticks in, an honest report out (docs/backtest.md).

``csv_history``, ``layouts``, ``feeding``: files to rows to events. ``run``: these through the engine, each scored tick
kept as a line. All else is over those lines and needs the ``research`` extra; ``evaluate`` puts it together, ``report``
shows it.
"""
