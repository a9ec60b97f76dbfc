"""docs/indicators.md is written from the registry: `python -m tests.research.test_library_docs` writes it anew."""

from __future__ import annotations

import doctest
from pathlib import Path

from service.research.indicators import NOT_APPLICABLE, REGISTRY

PAGE = Path(__file__).resolve().parents[2] / "docs" / "indicators.md"

HEAD = """# Indicators

Written from the code (`python -m tests.research.test_library_docs`), in `service/research/indicators` one file for
each subject. What all keep to is said in `contract.py` there and checked on each of them by
`tests/research/test_library_checks.py`. The live signal ([signal.md](signal.md) sections 2 to 5) has the same
formulas (`service/formulas.py`, `service/statistics.py`) and the same past (`service/indicators/trailing.py`): on the
same samples its levels are those of here to the last bit (`tests/research/test_library_live.py`). Here each stands
alone, for any series.

- `update(t_ms, x)` enters UTC epoch ms and one number per input; `value` is as of the newest update; `ready` says that
  the past asked for is there, and without it `value` is null.
- 0 is a value. Null input is "not observed": time goes on, nothing is entered. Where a divisor is 0 the value is null,
  not 0.
- A window is n slots of one step, the running slot included; it is covered while nine tenths of its slots were
  observed. It begins at the slot n before the running one, or at the latest observed one up to a tenth of the window
  before that. Both are arguments (`window_ms`, `step_ms`); the table gives the usual ones. A gap is slots without
  observation: nothing is filled in.
- A slot has the value of its last complete update (levels); flows add up within it. An update from before the newest
  changes nothing. NaN, infinity, anything beyond 1e18, and negative prices and amounts raise `ValueError`; a time that
  is no whole number of milliseconds is refused as well.
- `reanchor(delta_ms)` when the clock that gives the times was set: with times that are `delta_ms` later from then on,
  the values are what they would have been without.
- Memory is bounded by the window; `dump()` and `load()` keep the state exactly. An update costs at most
  about ten microseconds, a value at most a pass over the window's slots (0.2 ms for the z-score over 1,440 of them).
- `batch(rows)` gives the value after each row `(t_ms, x)`, exactly what a new indicator with the same settings gives
  row by row; the one that is asked stays as it is. It is that loop and nothing else: a month of minutes takes 0.1 s to
  9 s (`funding_z`). A vectorised path would be a second formula for each, equal only up to rounding.
- The bins of `percentile_30d` put it off by at most half the share of values in x's own bin. Bins and thinning
  together, over 30 days of a simulated index that wanders by 20 %: at most 0.037, in the mean 0.010 or less.

## By hand

`REGISTRY` makes each by its id, with its usual window unless told otherwise. Feed it in the order of time and read it
whenever:

```python
>>> from service.research.indicators import REGISTRY
>>> def told(value):
...     return None if value is None else round(value, 6)
>>> momentum = REGISTRY["oi_momentum"](window_ms=120_000, step_ms=60_000)  # two minutes, a slot each
>>> for minute, oi in enumerate([100.0, 102.0, 105.0, None, 110.0, 103.0, 104.5]):
...     momentum.update(minute * 60_000, oi)  # None: not observed then
...     print(minute, momentum.ready, told(momentum.value))
0 False None
1 False None
2 True 0.05
3 False None
4 False None
5 False None
6 True -0.05

```

The minute that nobody observed costs three values: while it is in the window this is not covered, and at minute 5 it is
where the window would begin.

Several inputs come in the order of `inputs`; the state is plain JSON, and a restart goes on where it was:

```python
>>> import json
>>> ratio = REGISTRY["elr"]()
>>> [item.name for item in ratio.inputs]
['oi', 'reserve']
>>> ratio.update(1_763_720_520_000, (540_000.0, 2_700_000.0))
>>> saved = json.dumps(ratio.dump())
>>> again = REGISTRY["elr"]()
>>> again.load(json.loads(saved))
>>> again.update(1_763_720_530_000, (567_000.0, None))  # the reserve is a daily figure: it stays in use
>>> again.value
0.21

```

Over a file of the [back-test](backtest.md), all rows in one go:

```python
>>> import csv, io
>>> file = io.StringIO("time,mark,index\\n1763720520000,101,100\\n1763720580000,,100\\n1763720640000,103,100\\n")
>>> premium = REGISTRY["premium_index"](window_ms=60_000, step_ms=60_000)
>>> def prices(row):
...     return [float(row[name]) if row[name] else None for name in ("mark", "index")]
>>> rows = [(int(row["time"]), prices(row)) for row in csv.DictReader(file)]
>>> [told(value) for value in premium.batch(rows)]
[0.01, None, 0.03]

```

## All of them

The oracle of `tests/research/test_wickra.py` is [wickra](https://pypi.org/project/wickra/) 2: equal to 1e-9 on ticks
of one step, apart from the differences in the last column. All of its windows are counts of ticks, and it has no
missing inputs.
"""


def page() -> str:
    lines = [
        HEAD,
        "| id | inputs | unit | formula | window | null when | wickra | differences |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for about in REGISTRY.values():
        inputs = ", ".join(f"`{item.name}` ({item.unit})" for item in about.inputs)
        theirs = "none" if about.wickra is None else f"`{about.wickra}`"
        lines.append(
            f"| `{about.id}` | {inputs} | {about.unit} | {about.formula} | {about.window} | {about.null} | {theirs} "
            f"| {about.differences} |"
        )
    lines += ["", "Not applicable to perpetuals:", ""]
    lines += [f"- wickra `{name}`: {why}." for name, why in NOT_APPLICABLE.items()]
    return "\n".join([*lines, ""])


def test_the_examples_say_what_they_print() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert (result.failed, result.attempted > 15) == (0, True)


def test_the_page_is_that_of_the_code() -> None:
    assert PAGE.read_text() == page()


def test_no_cell_breaks_the_table() -> None:
    for about in REGISTRY.values():
        cells = (about.id, about.unit, about.formula, about.window, about.null, about.differences)
        assert not any("|" in cell or "\n" in cell for cell in cells)
        assert (about.wickra is None) == (about.differences == "")


if __name__ == "__main__":
    PAGE.write_text(page())
