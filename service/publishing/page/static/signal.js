// One symbol's signal as words: what the message says, and nothing computed beside it. What informs stands in front.

import { element, say } from "./dom.js";
import { NONE, fixed, percent, signed, signedPercent, span, utc } from "./format.js";
import { evidenceOf } from "./verdict.js";

const NO_CHANCE = {
  no_quorum: "too few fresh venues",
  short_rank: "needs 7 days of history",
  no_volatility: "no volatility of the last 24 hours",
};
const STATUS = { ok: "ok", warming: "warming up", degraded: "degraded", no_data: "no data" };

let told = {}; // of /v1/advice: what traders make of a band or a regime

/** Keep what `/v1/advice` says. */
export function advise(table) {
  told = table;
}

/** What traders make of it, and whether that is practice or measured; nothing while that is not known. */
function advice(part, name) {
  const { text, kind } = told[part]?.[name] ?? {};
  return text === undefined ? "" : `${text} (${kind})`;
}

const words = (code) => String(code).replaceAll("_", " ");

/** A chance is told as 0 or 100 % only where it is that. */
function chance(share) {
  if (share > 0 && share < 0.0005) return "<\u00a00.1 %";
  if (share < 1 && share >= 0.995) return ">\u00a099 %";
  return percent(share, share < 0.1 ? 1 : 0);
}

/** The leverage rank's variant: oi_mcap has it, and oi_reserve the same one. */
function leverage(signal) {
  return signal.elr.find((item) => item.variant === "oi_mcap") ?? {};
}

/** "12 % (usual 19 %)", or why there is none. */
function fall({ p_deleveraging: said }, name, usual) {
  if (said[name] === null) return NO_CHANCE[said.reason] ?? words(said.reason);
  return `${chance(said[name])} (usual\u00a0${chance(said[usual]).replaceAll(" ", "\u00a0")})`; // wraps before the bracket
}

const RANKED = new Set(["crowded_longs", "crowded_shorts", "loaded", "building", "calm"]); // flush and reset are not

/** The regime, whether it was judged against less than a week, whether leverage has just risen far, and whether open
 * interest falls at this moment or did within the hour. */
function regime(signal) {
  const young = signal.provisional && RANKED.has(signal.regime);
  const said = signal.regime === null ? [] : [words(signal.regime) + (young ? " (provisional)" : "")];
  if (signal.spike !== null && signal.regime !== null) said.push("spike");
  if (signal.flush_falling === true) said.push("falling now");
  else if (signal.flushed_1h === true) said.push("fell within the hour");
  return said.join(", ") || NONE;
}

function status(signal) {
  const why = signal.reasons.length === 0 ? "" : `: ${signal.reasons.map(words).join(", ")}`;
  return (STATUS[signal.status] ?? words(signal.status)) + why;
}

// The columns of the table: name, what it says, whether it is a number. `back`: it informs less.
const COLUMNS = [
  { field: "rank", name: "Rank of leverage", of: (s) => fixed(leverage(s).percentile, 3), number: true },
  { field: "fall", name: "Chance of a fall by 5 %", of: (s) => fall(s, "oi_5", "base_rate"), number: true },
  { field: "volatility", name: "Volatility, a day", of: (s) => percent(s.volatility_24h), number: true },
  { field: "z", name: "Against last day", of: (s) => signed(leverage(s).z, 1), number: true },
  { field: "fragility", name: "Fragility", of: (s) => fixed(s.fragility, 2), number: true },
  { field: "regime", name: "Regime", of: regime },
  { field: "risk", name: "Risk multiplier", of: (s) => fixed(s.sizing.risk_multiplier, 2), number: true },
  { field: "status", name: "Data", of: status },
  { field: "score", name: "Score", of: (s) => signed(s.score, 2), number: true, back: true },
  { field: "direction", name: "Direction", of: (s) => s.direction ?? NONE, back: true },
  { field: "size", name: "Size", of: (s) => fixed(s.sizing.size_fraction, 3), number: true, back: true },
];

const classes = ({ number, back }) => [number ? "number" : "", back ? "back" : ""].join(" ").trim() || null;

/** Whether the page has words for it: a service of another version may leave out what this page reads. */
export function readable(signal) {
  try {
    COLUMNS.forEach((column) => column.of(signal));
    detail(signal);
    return true;
  } catch {
    return false;
  }
}

/** The heads of the table. */
export function heads() {
  const named = COLUMNS.map((column) => element("th", { scope: "col", class: classes(column) }, column.name));
  return [element("th", { scope: "col" }, "Symbol"), ...named];
}

/** A symbol's row. It stays the same node, so that neither focus nor selection is lost at a tick. */
export class Row {
  constructor(symbol, chosen) {
    this.button = element("button", { type: "button" }, symbol);
    this.button.addEventListener("click", () => chosen(symbol));
    this.cells = COLUMNS.map((column) => element("td", { class: classes(column), "data-field": column.field }, NONE));
    this.node = element("tr", { "data-symbol": symbol },
      element("th", { scope: "row" }, this.button), ...this.cells);
    this.show(null, "no signal yet");
  }

  /** `signal`: null where there is none that may still be used, and `why` in words. */
  show(signal, why) {
    COLUMNS.forEach((column, number) => {
      const none = column.field === "status" ? why : NONE;
      say(this.cells[number], signal === null ? none : column.of(signal));
      if (column.field === "regime") this.cells[number].title = advice("regimes", signal?.regime);
    });
    this.node.classList.toggle("none", signal === null || signal.p_deleveraging.oi_5 === null);
  }
}

function row(term, field, ...lines) {
  const said = lines.map((line, place) => element(place === 0 ? "strong" : "span", {}, line));
  return element("div", { class: "row" }, element("dt", {}, term), element("dd", { "data-field": field }, ...said));
}

function card(title, ...rows) {
  return element("article", { class: "card" }, element("h3", {}, title), element("dl", {}, ...rows));
}

/** The same as a row; where there is no chance, what is usual is known all the same. */
function fallRow(signal, term, field, name, usual, record) {
  const { [name]: said, [usual]: rate, [record]: code } = signal.p_deleveraging;
  const hours = leverage(signal).horizon_h;
  const lines = said === null ? [`usual ${chance(rate)}`] : [];
  if (signal.p_deleveraging.reason === "short_rank") lines.push(`history so far: ${span(hours * 3_600_000)}`);
  return row(term, field, fall(signal, name, usual), ...lines, `by its record: ${evidenceOf(code)}`);
}

/** How young the memory is that regime, spike and band were judged against. */
function young(signal) {
  const hours = leverage(signal).horizon_h;
  return signal.provisional ? `provisional: judged against ${span(hours * 3_600_000)}, less than a week` : "";
}

/** The factors below 1. */
function takes({ data, deleveraging, spike }) {
  const named = [["quality of the data", data], ["chance of a fall above the usual", deleveraging], ["spike", spike]];
  const off = named.filter(([, factor]) => factor < 1).map(([name, factor]) => `${name} ${fixed(factor, 2)}`);
  return off.length === 0 ? "nothing known against" : off.join(", ");
}

function changes(said) {
  return Object.entries(said).map(([name, share]) => `${name} ${percent(share, 1)}`).join(", ");
}

/** Everything of one symbol that the page has words for. */
export function detail(signal) {
  const { p_deleveraging: said, market } = signal;
  const { horizon_h: hours, percentile, z, band } = leverage(signal);
  const made = said.as_of === null ? "" : `made at ${utc(said.as_of)}`;
  return [
    card("How loaded",
      row("Rank of leverage", "rank", fixed(percentile, 3), `of ${span(hours * 3_600_000)} of its own past`,
        advice("bands", band)),
      row("Against its last day", "z", `${signed(z, 1)} robust standard deviations`),
      row("Fragility", "fragility", fixed(signal.fragility, 2), `without funding ${fixed(signal.fragility_2, 2)}`),
      row("Volatility of the last 24 hours", "volatility", `${percent(signal.volatility_24h)} a day`),
      row("Regime", "regime", regime(signal), young(signal), advice("regimes", signal.regime))),
    card("Chance of a fall of open interest within 24 h",
      fallRow(signal, "By 5 %", "fall-5", "oi_5", "base_rate", "evidence"),
      fallRow(signal, "By 10 %", "fall-10", "oi_10", "base_rate_10", "evidence_10"),
      row("Model", "model", said.model, made)),
    card("What to make of a size of your own",
      row("Risk multiplier", "risk", fixed(signal.sizing.risk_multiplier, 2),
        signal.tradeable ? "times your size, whatever its direction" : "not tradeable"),
      row("What takes off", "risk-factors", takes(signal.sizing.risk_factors))),
    card("Market and data",
      row("Price", "price", market.price === null ? NONE : `${market.price} USD`),
      row("Funding per 8 h", "funding", percent(market.funding_8h, 4)),
      row("Change of open interest", "oi-change", changes(signal.oi_change)),
      row("Open interest seen", "coverage", percent(market.oi_coverage),
        `${market.venues_fresh} of ${market.venues_total} venues`),
      row("Data", "status", status(signal), signal.tradeable ? "tradeable" : "not tradeable")),
    card("The crowd: a description, no forecast",
      row("Score", "score", signed(signal.score, 2), `strength ${fixed(signal.strength, 2)}`),
      row("Direction", "direction", signal.direction ?? NONE, signal.conflict ? "windows disagree" : ""),
      row("Confidence in the data", "confidence", fixed(signal.confidence, 2)),
      row("Size earned by the record", "size", fixed(signal.sizing.size_fraction, 3),
        `right after 1 h: ${percent(signal.p_hit)}, ${signal.p_hit_n} outcomes`)),
  ];
}

/** The market as a whole in a sentence; why not, where it says nothing that may still be used. */
export function marketLine(market, now) {
  try {
    if (market === null) return "The market as a whole: no reading yet.";
    if (now > market.ts + market.ttl_ms) return "The market as a whole: too old to be used.";
    if (market.status === "no_data" || market.status === "warming") {
      return `The market as a whole: ${STATUS[market.status]} (${market.reasons.map(words).join(", ")}).`;
    }
    const { level, shares } = market;
    const crowded = (shares.crowded_longs?.oi ?? 0) + (shares.crowded_shorts?.oi ?? 0);
    const young = market.provisional ? ` (provisional: of ${span(level.horizon_h * 3_600_000)})` : "";
    const parts = [
      `rank ${fixed(level.percentile, 3)} of its own past${young}`,
      `ranks of symbols ${fixed(market.leverage_rank, 2)} ± ${fixed(market.dispersion, 2)}`,
      `open interest ${signedPercent(market.oi_change["24h"])} in 24 h`,
      `${percent(crowded, 0)} of it crowded, ${percent(shares.flushing?.oi ?? 0, 0)} in a flush`,
    ];
    const state = market.flushing ? "flushing" : words(market.regime ?? NONE);
    const some = `${market.symbols.counted} of ${market.symbols.configured} symbols`;
    return `The market as a whole: ${state}; ${parts.join("; ")} (${some}).`;
  } catch {
    return "The market as a whole: of another version, reload the page.";
  }
}

/** An alert as a line of the list. */
export function alertLine(alert) {
  return element("li", { "data-alert": alert.alert, class: alert.severity },
    element("span", { class: "note" }, utc(alert.ts)), " ",
    element("strong", {}, `${words(alert.alert)} ${alert.state}`), ` ${alert.text}`);
}
