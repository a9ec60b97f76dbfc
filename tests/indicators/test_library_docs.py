"""docs/indicators.md is written from the registry: `python -m tests.indicators.test_library_docs` writes it anew."""

from __future__ import annotations

from pathlib import Path

from service.indicators.library import NOT_APPLICABLE, REGISTRY

PAGE = Path(__file__).resolve().parents[2] / "docs" / "indicators.md"

HEAD = """# Indicators

Written from the code (`python -m tests.indicators.test_library_docs`). One file each in `service/indicators/library`;
what all keep to is said in `service/indicators/library/contract.py` and checked on each of them by
`tests/indicators/test_library_checks.py`. The live signal reads the levels, windows and scales of
[signal.md](signal.md) section 4, whose machinery these share; here they stand alone, for any series.

- `update(t_ms, x)` enters UTC epoch ms and one number per input; `value` is as of the newest update; `ready` says that
  the past asked for is there, and without it `value` is null.
- 0 is a value. Null input is "not observed": time goes on, nothing is entered. Where a divisor is 0 the value is null,
  not 0.
- A window is n slots of one step, the running slot included; it is covered while nine tenths of its slots were
  observed. It begins at the slot n before the running one, or at the latest observed one up to a tenth of the window
  before that. Both are arguments (`window_ms`, `step_ms`); the table gives the usual ones. A gap is slots without
  observation: nothing is filled in.
- A slot has the value of its last complete update (levels); flows add up within it. An update from before the newest
  changes nothing. NaN, infinity, anything beyond 1e18, and negative prices and amounts raise `ValueError`.
- Memory is bounded by the window; `dump()` and `load()` keep the state exactly.
- The bins of `percentile_30d` put it off by at most half the share of values in x's own bin. Bins and thinning
  together, over 30 days of a simulated index that wanders by 20 %: at most 0.037, in the mean 0.010 or less.

The oracle of `tests/indicators/test_wickra.py` is [wickra](https://pypi.org/project/wickra/) 2: equal to 1e-9 on ticks
of one step, apart from the differences in the last column. All of its windows are counts of ticks, and it has no
missing inputs.
"""


def page() -> str:
    lines = [
        HEAD,
        "| id | inputs | unit | formula | window | null when | wickra | differences |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in REGISTRY.values():
        about = kind.ABOUT
        inputs = ", ".join(f"`{item.name}` ({item.unit})" for item in about.inputs)
        theirs = "none" if about.wickra is None else f"`{about.wickra}`"
        lines.append(
            f"| `{about.id}` | {inputs} | {about.unit} | {about.formula} | {about.window} | {about.null} | {theirs} "
            f"| {about.differences} |"
        )
    lines += ["", "Not applicable to perpetuals:", ""]
    lines += [f"- wickra `{name}`: {why}." for name, why in NOT_APPLICABLE.items()]
    return "\n".join([*lines, ""])


def test_the_page_is_that_of_the_code() -> None:
    assert PAGE.read_text() == page()


def test_no_cell_breaks_the_table() -> None:
    for kind in REGISTRY.values():
        about = kind.ABOUT
        cells = (about.id, about.unit, about.formula, about.window, about.null, about.differences)
        assert not any("|" in cell or "\n" in cell for cell in cells)
        assert (about.wickra is None) == (about.differences == "")


if __name__ == "__main__":
    PAGE.write_text(page())
