// One card a horizon: how often right, how well ranked, how well calibrated, and what that comes to in words.

import { reach, reliability, whisker } from "./chart.js";
import { byId, element, say } from "./dom.js";
import { NONE, count, fixed, known, percent, percents, plusMinus, trials } from "./format.js";
import { LEAST, early, verdict } from "./verdict.js";

const ABOUT = {
  "1m": "the 1 min score, after 1 min",
  "5m": "the 5 min score, after 5 min",
  "1h": "the 1 h score, after 1 h",
  composite: "the composite, after 1 h",
};
const HIT_HALVES = [0.2, 0.3, 0.4, 0.5]; // of the track around 0.5: 0.3 to 0.7 or wider
const IC_HALVES = [0.1, 0.2, 0.5];
const Z = 1.96;

/** One sentence over all horizons, by what can be said of them. */
export function summary(horizons) {
  const told = new Map();
  for (const [name, record] of Object.entries(horizons)) {
    const { rank, text } = verdict(record);
    told.set(rank, { text, names: [...(told.get(rank)?.names ?? []), name] });
  }
  const ranked = [...told].sort(([a], [b]) => b - a);
  return ranked.map(([, { text, names }]) => `${names.join(", ")}: ${text}.`).join(" ");
}

/** A mark and words, coloured on top of that. */
export function badge(record) {
  const { code, mark, text } = verdict(record);
  return element("span", { class: `verdict ${code}` }, element("span", { "aria-hidden": "true" }, `${mark} `), text);
}

function field(name, ...content) {
  return element("span", { "data-field": name }, ...content);
}

function row(term, ...content) {
  return element("div", { class: "row" }, element("dt", {}, term), element("dd", {}, ...content));
}

function calibration(record) {
  const { brier, brier_climatology: climatology } = record;
  if (verdict(record).code === "few") return "too few to compare";
  if (!known(brier) || !known(climatology)) return "nothing to compare yet";
  const gain = climatology - brier;
  if (fixed(gain, 4) === fixed(0, 4)) return "as good as always saying the final share";
  return `${gain > 0 ? "better" : "worse"} than always saying the final share by ${fixed(Math.abs(gain), 4)}`;
}

function binTable(name, bins) {
  const rows = bins.map((bin) => element("tr", {},
    element("td", {}, `${fixed(bin.low, 2)} to ${fixed(bin.high, 2)}`), element("td", {}, count(bin.n)),
    element("td", {}, percent(bin.p_hit)), element("td", {}, percent(bin.hit))));
  const words = ["p_hit", "outcomes", "said", "came"];
  const head = element("tr", {}, ...words.map((word) => element("th", { scope: "col" }, word)));
  return element("details", { class: "bins" }, element("summary", {}, `these numbers for ${name}`),
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
}

function lostShare({ matured, lost }) {
  return known(matured) && known(lost) && matured + lost > 0 ? ` (${percent(lost / (matured + lost), 2)})` : "";
}

function card(name, record, hitHalf, icHalf) {
  const { code } = verdict(record);
  const interval = percents(record.hit_low, record.hit_high);
  const ic = plusMinus(record.ic, known(record.ic_se) ? Z * record.ic_se : null, 3);
  const spread = known(record.ic) && known(record.ic_se) ? Z * record.ic_se : null;
  const few = early(record);
  const bins = record.bins ?? [];
  const worth = record.n > 0 ? record.n_effective / record.n : 0;
  const told = bins.map((bin) => `said ${percent(bin.p_hit)}, came ${percent(bin.hit)} of ${count(bin.n)}`);
  return element("article", { id: `horizon-${name}`, class: "card", "aria-labelledby": `title-${name}` },
    element("h3", { id: `title-${name}` }, name, element("small", {}, ABOUT[name] ?? "")),
    element("p", { class: "said", "data-field": "verdict" }, badge(record)),
    element("dl", {},
      row("Right directions",
        element("strong", {}, field("hit", percent(record.hit))),
        field("hit-interval", interval === NONE ? NONE : `95 %: ${interval}`),
        whisker({
          low: record.hit_low, high: record.hit_high, value: record.hit, middle: 0.5, half: hitHalf, code,
          label: `${name}: ${percent(record.hit)} right, 95 % interval ${interval}; a coin has 50 %`,
          ends: [percent(0.5 - hitHalf, 0), "coin", percent(0.5 + hitHalf, 0)],
        })),
      row("Outcomes counted",
        element("strong", {}, field("n", count(record.n))),
        element("span", {}, "worth ", field("n_effective", trials(record.n_effective)), " trials")),
      row("Rank correlation",
        element("strong", {}, field("ic", few ? "too few to say" : ic)),
        element("span", {}, field("ic_n", count(record.ic_n)), " pairs"),
        whisker({
          low: spread === null || few ? null : record.ic - spread,
          high: spread === null || few ? null : record.ic + spread,
          value: few ? null : record.ic, middle: 0, half: icHalf, code: "plain",
          label: `${name}: rank correlation ${few ? "of too few pairs" : ic}; without any relation it is 0`,
          ends: [fixed(-icHalf, 1), "none", fixed(icHalf, 1)],
        })),
      row("Brier score",
        element("strong", {}, field("brier", fixed(record.brier, 4))),
        element("span", {}, "climatology ", field("climatology", fixed(record.brier_climatology, 4))),
        element("span", { class: "note", "data-field": "calibration" }, calibration(record))),
      row("Matured, lost",
        field("matured", count(record.matured)),
        element("span", {}, field("lost", count(record.lost)), " lost", lostShare(record))),
    ),
    element("h4", {}, "Reliability of p_hit"),
    bins.length === 0
      ? element("p", { class: "note" }, "no outcome yet")
      : element("div", {}, reliability(bins, worth, `${name}: ${told.join("; ")}`), binTable(name, bins)),
  );
}

/** What was shown is no longer known. */
export function clear() {
  byId("horizons").replaceChildren(element("p", { class: "note" }, "no numbers yet"));
  say(byId("summary"), NONE);
}

/** Draws all cards anew, keeping open what the reader opened. */
export function show(horizons) {
  const names = Object.keys(horizons);
  const records = Object.values(horizons);
  const hitHalf = reach(0.5, HIT_HALVES, records.flatMap((record) => [record.hit_low, record.hit_high]));
  const icHalf = reach(0, IC_HALVES, records.flatMap((record) =>
    known(record.ic) && known(record.ic_se) && !early(record) ? [record.ic - Z * record.ic_se, record.ic + Z * record.ic_se] : []));
  const place = byId("horizons");
  const open = new Set([...place.querySelectorAll("details[open]")].map((node) => node.closest("article").id));
  place.replaceChildren(...names.map((name) => card(name, horizons[name], hitHalf, icHalf)));
  for (const node of place.querySelectorAll("details")) node.open = open.has(node.closest("article").id);
  say(byId("summary"), summary(horizons));
  const rule = `Told from a coin: outcomes worth at least ${LEAST} trials, and a 95 % interval that leaves out 50 %.`;
  say(byId("rule"), rule);
}
