// Every symbol at every horizon: sorts, filters, and says how much of it luck alone would do.

import { whisker } from "./chart.js";
import { byId, element, say } from "./dom.js";
import { count, fixed, known, percent, percents, plusMinus, signed, trials } from "./format.js";
import { badge } from "./horizons.js";
import { early, verdict } from "./verdict.js";

const AT_ONCE = 120; // rows drawn before the reader asks for all: 500 symbols are 2,000 of them
const HALF = 0.2; // the narrow track is 0.3 to 0.7; what lies beyond ends without a cap

const text = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
// key: what it sorts by; rising: what the first click gives
const COLUMNS = [
  { name: "Symbol", key: (row) => row.symbol, rising: true },
  { name: "Horizon", key: (row) => row.place, rising: true },
  { name: "Outcomes", key: (row) => row.record.n, number: true },
  { name: "Trials", key: (row) => row.record.n_effective, number: true },
  { name: "Right", key: (row) => row.record.hit, number: true },
  { name: "95 % interval", key: (row) => row.record.hit_low, number: true },
  { name: "30 to 70 %", key: (row) => row.record.hit_high, number: true },
  { name: "Verdict", key: (row) => verdict(row.record).rank },
  { name: "Rank corr.", key: (row) => row.record.ic, number: true },
  { name: "p_hit", key: (row) => row.record.p_hit, number: true },
  { name: "Brier − clim.", key: (row) => difference(row.record), number: true },
  { name: "Lost", key: (row) => row.record.lost, number: true },
];

function difference(record) {
  return known(record.brier) && known(record.brier_climatology) ? record.brier - record.brier_climatology : null;
}

/** Rows in the order of a column, undefined ones last whichever way, equal ones as they were. */
export function sorted(rows, key, rising) {
  const rank = (a, b) => (typeof a === "string" ? text(a, b) : a - b);
  return [...rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    const none = Number(a === null || a === undefined) - Number(b === null || b === undefined);
    if (none !== 0 || a === null || a === undefined) return none;
    return rising ? rank(a, b) : rank(b, a);
  });
}

/** What luck alone does to so many intervals, as a sentence. */
export function warning(rows, total) {
  const judged = rows.filter((row) => verdict(row.record).rank > 0);
  const apart = judged.filter((row) => verdict(row.record).rank > 1).length;
  const part = rows.length === total ? "" : `${count(rows.length)} of `;
  const shown = `${part}${count(total)} records${part === "" ? "" : " shown"}`;
  if (judged.length === 0) return `${shown}: none has enough outcomes to say anything.`;
  return `${shown}, ${count(judged.length)} with enough outcomes. Intervals that leave out the coin: ${count(apart)}; `
    + `by luck alone, 5 %: about ${fixed(0.05 * judged.length, 1)}, and in bunches, since symbols move together.`;
}

function line({ symbol, horizon, record }) {
  const interval = percents(record.hit_low, record.hit_high);
  const cell = (content, kind = null, name = null) => element("td", { class: kind, "data-field": name }, content);
  return element("tr", { "data-symbol": symbol, "data-horizon": horizon },
    element("th", { scope: "row" }, symbol),
    cell(horizon),
    cell(count(record.n), "number", "n"),
    cell(trials(record.n_effective), "number", "n_effective"),
    cell(percent(record.hit), "number", "hit"),
    cell(interval, "number", "hit-interval"),
    element("td", { class: "drawn" }, whisker({
      low: record.hit_low, high: record.hit_high, value: record.hit, middle: 0.5, half: HALF,
      code: verdict(record).code,
      label: `${symbol} ${horizon}: 95 % interval ${interval}`,
    })),
    element("td", { "data-field": "verdict" }, badge(record)),
    cell(early(record) ? "…" : plusMinus(record.ic, known(record.ic_se) ? 1.96 * record.ic_se : null, 3), "number", "ic"),
    cell(percent(record.p_hit), "number", "p_hit"),
    cell(signed(difference(record), 4), "number", "brier"),
    cell(count(record.lost), "number", "lost"),
  );
}

export class Symbols {
  constructor() {
    this.rows = [];
    this.column = null; // as configured
    this.rising = true;
    this.all = false;
    this.heads = COLUMNS.map((column) => {
      const button = element("button", { type: "button" }, column.name);
      button.addEventListener("click", () => this.#sort(column));
      return element("th", { scope: "col", class: column.number ? "number" : null }, button);
    });
    byId("symbols-head").replaceChildren(...this.heads);
    byId("filter").addEventListener("input", () => this.draw());
    byId("horizon").addEventListener("change", () => this.draw());
    byId("all-rows").addEventListener("click", () => {
      this.all = true;
      this.draw();
      byId("symbols").focus();
    });
  }

  /** New numbers: [{symbol, horizons}]. */
  take(symbols) {
    this.rows = symbols.flatMap(({ symbol, horizons }) =>
      Object.entries(horizons).map(([horizon, record], place) => ({ symbol, horizon, record, place })));
    const offered = [...byId("horizon").options].map((option) => option.value);
    for (const name of new Set(this.rows.map((row) => row.horizon))) {
      if (!offered.includes(name)) byId("horizon").append(element("option", { value: name }, name));
    }
    this.draw();
  }

  #sort(column) {
    const rising = column.rising ?? false;
    this.rising = this.column === column ? !this.rising : rising;
    this.column = column;
    this.draw();
  }

  draw() {
    const wanted = byId("filter").value.trim().toUpperCase();
    const horizon = byId("horizon").value;
    const found = this.rows.filter((row) => (
      row.symbol.toUpperCase().includes(wanted) && (horizon === "" || row.horizon === horizon)
    ));
    const rows = this.column === null ? found : sorted(found, this.column.key, this.rising);
    COLUMNS.forEach((column, number) => {
      const head = this.heads[number];
      if (column === this.column) head.setAttribute("aria-sort", this.rising ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const drawn = this.all ? rows : rows.slice(0, AT_ONCE);
    byId("symbols-body").replaceChildren(...drawn.map(line));
    const button = byId("all-rows");
    button.hidden = drawn.length === rows.length;
    say(button, `show all ${count(rows.length)} rows`);
    say(byId("multiplicity"), this.rows.length === 0 ? "No symbol has a record yet." : warning(rows, this.rows.length));
  }
}
