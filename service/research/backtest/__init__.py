"""Back-test: history files in, rows for the engine; scored ticks in, an honest report out (docs/backtest.md).

``run.py`` drives the engine with the rows of the others, which do not know it.
 Only ``measures``, ``evaluate``, ``fragility``, ``direction``, ``plots`` need the ``research`` extra.
"""
