// What has been learned of which part of the score to believe, and whether the signal uses it.

import { byId, drawn, element, say } from "./dom.js";
import { NONE, count, fixed, known, percent, signed } from "./format.js";

const ZERO = "zero"; // says 0: that nothing works
const STATIC = "static"; // says what the fixed formula says

/** Whether a window's learned shares are used, in words. */
export function standing(mode, least, window) {
  if (window.in_force !== null && mode === "frozen") return "in force, from a file";
  if (window.in_force !== null) {
    const part = (window.rounds - least + 1) / least; // taken over bit by bit: docs/weights.md
    return part < 1 ? `in force to ${percent(part, 0)}, the rest is the fixed formula` : "in force";
  }
  if (mode === "learn") return `not in force: ${count(window.rounds)} of ${count(least)} rounds`;
  return mode === "static" ? "not in force: the mode is static" : "not in force: the file does not have it";
}

/** The expert with the largest share, the first of equals. */
export function leader(window) {
  return Object.entries(window.shares).reduce((best, one) => (one[1] > best[1] ? one : best))[0];
}

function bar(share, force) {
  const parts = [
    drawn("rect", { x: 0, y: 3, width: "100%", height: 10, class: "track" }),
    drawn("rect", { x: 0, y: 3, width: `${100 * share}%`, height: 10, class: "share" }),
  ];
  if (known(force)) {
    const x = `${100 * force}%`;
    parts.push(drawn("line", { x1: x, y1: 0, x2: x, y2: 16, class: "force" }));
  }
  return drawn("svg", { class: "bar", "aria-hidden": "true", width: "100%", height: 16 }, ...parts);
}

function experts(name, window) {
  const used = window.in_force !== null;
  const head = ["expert", "", "share", ...(used ? ["in force"] : []), "gain a round"];
  const gain = (expert) => (window.rounds > 0 && window.awake[expert] > 0 ? signed(window.gains[expert], 4) : NONE);
  const kind = (expert) => (expert === ZERO || expert === STATIC ? "whole" : null);
  const rows = Object.entries(window.shares).map(([expert, share]) => element("tr",
    { "data-expert": expert, class: kind(expert) },
    element("th", { scope: "row" }, expert),
    element("td", { class: "drawn" }, bar(share, used ? window.in_force[expert] : null)),
    element("td", { class: "number", "data-field": "share" }, percent(share)),
    used ? element("td", { class: "number", "data-field": "in-force" }, percent(window.in_force[expert])) : null,
    element("td", { class: "number" }, gain(expert))));
  const side = (word) => (word === "expert" ? null : "number");
  const cell = (word) => element("th", { scope: "col", class: side(word) }, word);
  const cells = head.map((word) => (word === "" ? element("td") : cell(word)));
  return element("table", { class: "experts" },
    element("caption", { class: "hidden" }, `shares of the experts at ${name}`),
    element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows));
}

function regret(window) {
  if (window.rounds === 0) {
    return element("p", { class: "note" }, "nothing learned yet: these are the shares it begins with");
  }
  const against = ({ switches }) => {
    if (switches === 0) return "the best single expert";
    return `the best sequence with ${switches} switch${switches === 1 ? "" : "es"}`;
  };
  const [first, ...others] = window.regret;
  const sizes = ({ measured, bound }) => `${fixed(measured, 1)} of at most ${fixed(bound, 1)}`;
  const told = (entry, name) => element("span", { "data-field": name }, sizes(entry));
  return element("details", { class: "regret" },
    element("summary", {}, "regret ", told(first, "regret"), ` against ${against(first)}`),
    element("ul", {}, ...others.map((entry) => element("li", {}, told(entry, null), ` against ${against(entry)}`))));
}

function card(mode, least, name, window) {
  return element("article", { id: `weights-${name}`, class: "card", "aria-labelledby": `weights-title-${name}` },
    element("h3", { id: `weights-title-${name}` }, name,
      element("small", {},
        element("span", { "data-field": "rounds" }, `${count(window.rounds)} round${window.rounds === 1 ? "" : "s"}`),
        ` · ${standing(mode, least, window)}`)),
    experts(name, window),
    regret(window));
}

/** One sentence on who leads where, and what `zero` in front means. */
export function zeroTold(windows) {
  const learned = Object.entries(windows).filter(([, window]) => window.rounds > 0);
  if (learned.length === 0) {
    return "Nothing has been learned yet: zero begins with half of the shares, because that nothing works is "
      + "the null hypothesis.";
  }
  const ahead = learned.filter(([, window]) => leader(window) === ZERO).map(([name]) => name);
  if (ahead.length === 0) {
    return "zero, which always says 0, leads nowhere: some part of the score has done better than doing nothing, "
      + "so far and in the loss of the learner, which is no profit.";
  }
  return `zero, which always says 0, leads at ${ahead.join(", ")}: nothing there has done clearly better than doing `
    + "nothing. It begins with half of the shares, so right after a start this is no finding.";
}

export class Weights {
  constructor() {
    this.report = null;
    byId("group").addEventListener("change", () => this.draw());
  }

  /** A new answer of /v1/weights. */
  take(report) {
    this.report = report;
    const select = byId("group");
    const groups = Object.keys(report.groups);
    if (groups.join() !== [...select.options].map((option) => option.value).join()) {
      select.replaceChildren(...groups.map((group) => element("option", { value: group }, group)));
    }
    byId("group-label").hidden = groups.length < 2;
    this.draw();
  }

  /** What was shown is no longer known. */
  clear() {
    this.report = null;
    byId("weights").replaceChildren(element("p", { class: "note" }, "no numbers yet"));
    for (const id of ["weights-mode", "weights-version", "weights-learned", "weights-zero"]) say(byId(id), NONE);
  }

  draw() {
    if (this.report === null) return;
    const { mode, min_outcomes: least, groups } = this.report;
    const group = groups[byId("group").value];
    const place = byId("weights");
    const open = new Set([...place.querySelectorAll("details[open]")].map((node) => node.closest("article").id));
    place.replaceChildren(...Object.entries(group.windows).map(([name, window]) => card(mode, least, name, window)));
    for (const node of place.querySelectorAll("details")) node.open = open.has(node.closest("article").id);
    say(byId("weights-mode"), mode);
    say(byId("weights-version"), group.version);
    say(byId("weights-learned"), group.shadow_version);
    say(byId("weights-zero"), zeroTold(group.windows));
  }
}
