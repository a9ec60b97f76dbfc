// The record of the chances of a deep fall of open interest, and of what followed events (docs/scoreboard.md).

import { reach, reliability, whisker } from "./chart.js";
import { byId, element, say } from "./dom.js";
import { NONE, count, fixed, known, percent, percents, signed } from "./format.js";
import { evidence, evidenceOf, judged } from "./verdict.js";

const TITLES = { oi_5: "By 5 % within 24 h", oi_10: "By 10 % within 24 h" };
const SKILL_HALVES = [0.1, 0.2, 0.5, 1];
const AREA_HALVES = [0.2, 0.3, 0.5];
const EVENT = "oi_5"; // events and the sentence on top are of the falls that are less rare

const words = (code) => code.replaceAll("_", " ");

function row(term, ...content) {
  return element("div", { class: "row" }, element("dt", {}, term), element("dd", {}, ...content));
}

function field(name, text) {
  return element("span", { "data-field": name }, text);
}

function between(low, high, decimals) {
  return known(low) && known(high) ? `95 %: ${signed(low, decimals)} to ${signed(high, decimals)}` : "no interval yet";
}

/** A skill: 0 is no better than what it is compared with. */
function skill(term, name, said, half) {
  const [value, low, high] = [said[name], said[`${name}_low`], said[`${name}_high`]];
  const { code, mark, text } = judged(low, high, 0, "better", "worse", "no difference told");
  return row(term,
    element("strong", {}, field(name, signed(value, 3))), field(`${name}-interval`, between(low, high, 3)),
    whisker({
      low, high, value, middle: 0, half, code, label: `${term}: ${signed(value, 3)}, ${between(low, high, 3)}`,
      ends: [fixed(-half, 1), "none", fixed(half, 1)],
    }),
    element("span", { class: `note verdict ${code}`, "data-field": `${name}-verdict` }, `${mark} ${text}`));
}

function area({ auc, auc_low: low, auc_high: high }) {
  const interval = known(low) && known(high) ? `95 %: ${fixed(low, 3)} to ${fixed(high, 3)}` : "no interval yet";
  const half = reach(0.5, AREA_HALVES, [auc, low, high]);
  return row("Ranks the falls (area under the curve)",
    element("strong", {}, field("auc", fixed(auc, 3))), field("auc-interval", interval),
    whisker({
      low, high, value: auc, middle: 0.5, half, code: known(low) ? "plain" : "few", label: `area ${fixed(auc, 3)}, ${interval}`,
      ends: [fixed(0.5 - half, 1), "a coin", fixed(0.5 + half, 1)],
    }));
}

function calibration(name, bins) {
  if (bins.length === 0) return element("p", { class: "note" }, "no outcome yet");
  const told = bins.map((bin) => `said ${percent(bin.p)}, came ${percent(bin.happened)} of ${count(bin.n)}`);
  const points = bins.map((bin) => ({ p_hit: bin.p, hit: bin.happened, n: bin.n }));
  const rows = bins.map((bin) => element("tr", {},
    element("td", {}, count(bin.n)), element("td", {}, percent(bin.p)), element("td", {}, percent(bin.happened))));
  const head = ["chances", "said", "came"].map((word) => element("th", { scope: "col" }, word));
  return element("div", {}, reliability(points, null, `${TITLES[name] ?? name}: ${told.join("; ")}`, "said"),
    element("details", { class: "bins" }, element("summary", {}, "these numbers"),
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))));
}

function card(name, said, half) {
  return element("article", { id: `fall-${name}`, class: "card", "aria-labelledby": `fall-title-${name}` },
    element("h3", { id: `fall-title-${name}` }, TITLES[name] ?? name),
    element("dl", {},
      row("Chances with an outcome", element("strong", {}, field("n", count(said.n))),
        element("span", {}, "it came in ", field("happened", percent(said.happened)))),
      row("By its record", element("strong", {}, field("evidence", evidenceOf(said.evidence)))),
      row("Brier score", element("strong", {}, field("brier", fixed(said.brier, 4))),
        field("brier-interval", known(said.brier_low) && known(said.brier_high)
          ? `95 %: ${fixed(said.brier_low, 4)} to ${fixed(said.brier_high, 4)}` : "no interval yet")),
      skill("Skill over always saying what is usual", "skill_base_rate", said, half),
      skill("Skill over volatility alone", "skill_volatility", said, half),
      area(said)),
    element("h4", {}, "Reliability"),
    calibration(name, said.bins ?? []));
}

function eventRow([event, record]) {
  const said = record.falls[EVENT] ?? {};
  const { code, mark, text } = judged(said.lift_low, said.lift_high, 1, "more often", "less often", "no difference told");
  const cell = (name, content, kind = "number") => element("td", { class: kind, "data-field": name }, content);
  const lift = known(said.lift_low) && known(said.lift_high)
    ? `${fixed(said.lift, 2)} (${fixed(said.lift_low, 2)} to ${fixed(said.lift_high, 2)})` : fixed(said.lift, 2);
  return element("tr", { "data-event": event },
    element("th", { scope: "row" }, words(event)),
    cell("n", count(record.n)),
    cell("share", percent(said.share)),
    cell("share-interval", percents(said.share_low, said.share_high)),
    cell("matched", percent(said.matched)),
    cell("lift", lift),
    cell("verdict", `${mark} ${text}`, `verdict ${code}`),
    cell("lost", count(record.lost)));
}

/** What was shown is no longer known. */
export function clear() {
  byId("falls").replaceChildren(element("p", { class: "note" }, "no numbers yet"));
  byId("events-body").replaceChildren();
  say(byId("evidence"), NONE);
  say(byId("falls-weeks"), NONE);
}

/** Draws all anew, keeping open what the reader opened. */
export function show({ falls, weeks, lost }, events) {
  const sides = ["skill_base_rate", "skill_volatility"].flatMap((name) => [name, `${name}_low`, `${name}_high`]);
  const half = reach(0, SKILL_HALVES, Object.values(falls).flatMap((said) => sides.map((side) => said[side])));
  const place = byId("falls");
  const open = new Set([...place.querySelectorAll("details[open]")].map((node) => node.closest("article").id));
  place.replaceChildren(...Object.entries(falls).map(([name, said]) => card(name, said, half)));
  for (const node of place.querySelectorAll("details")) node.open = open.has(node.closest("article").id);
  byId("events-body").replaceChildren(...Object.entries(events).map(eventRow));
  say(byId("evidence"), evidence(falls[EVENT] === undefined ? [] : [falls[EVENT].evidence]));
  say(byId("falls-weeks"), `Outcomes of ${count(weeks)} calendar weeks; ${count(lost)} chances are lost, their 24 hours `
    + "were not seen. Intervals are by weeks, all symbols of a week together; under 8 weeks there is none.");
}
