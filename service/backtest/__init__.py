"""Back-test: history files in, rows for the engine; scored ticks in, an honest report out (docs/backtest.md).

A sibling of the stages: it knows neither the engine nor the others; ``wiring/backtest.py`` drives the one with the
rows of the other. Only ``measures``, ``evaluate``, ``fragility``, ``direction``, ``plots`` need the ``research`` extra.
"""
