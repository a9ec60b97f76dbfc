// What may be said of a record, by one rule (docs/page.md). Never by colour alone: each has its mark and its words.

import { NONE, known } from "./format.js";

export const LEAST = 100; // trials; with fewer, 95 % is wider than 20 points and the first look decides too much
const Z = 1.959963984540054;
const WIDEST = 0.5; // half an interval of a rank correlation

const VERDICTS = {
  few: { code: "few", rank: 0, mark: "…", text: "too few to say" },
  coin: { code: "coin", rank: 1, mark: "◇", text: "nothing told from a coin" },
  wrong: { code: "wrong", rank: 2, mark: "▼", text: "wrong more often than a coin" },
  right: { code: "right", rank: 3, mark: "▲", text: "right more often than a coin" },
};

export function verdict(record) {
  const { hit_low: low, hit_high: high, n_effective: trials } = record;
  if (!known(low) || !known(high) || !(trials >= LEAST)) return VERDICTS.few;
  if (low > 0.5) return VERDICTS.right;
  if (high < 0.5) return VERDICTS.wrong;
  return VERDICTS.coin;
}

/**
 * The same rule for another number: whether its interval lies above or below the middle. `more`, `less`, `none`: what
 * that is called.
 */
export function judged(low, high, middle, more, less, none) {
  if (!known(low) || !known(high)) return VERDICTS.few;
  if (low > middle) return { ...VERDICTS.right, text: more };
  return high < middle ? { ...VERDICTS.wrong, text: less } : { ...VERDICTS.coin, text: none };
}

const EVIDENCE = {
  none_yet: "not judged yet, which takes eight weeks of outcomes",
  worse_than_base_rate: "worse than always saying the usual share",
  no_better_than_base_rate: "no better than always saying the usual share",
  no_better_than_volatility: "no better than volatility alone",
  better_than_volatility: "better than volatility alone",
};

/** What the record says of the chances of a fall; a code that is new is told as it is. */
export function evidenceOf(code) {
  return EVIDENCE[code] ?? String(code).replaceAll("_", " ");
}

/** The same as a sentence, of all codes that there are; they are of one record. */
export function evidence(codes) {
  const said = codes.map(evidenceOf).join("; ");
  return said === "" ? NONE : `The chance of a fall by 5 %, by the service's own record: ${said}.`;
}

/** Whether a rank correlation rests on so few pairs that it means nothing: two of a symbol give 1 or -1. */
export function early({ ic, ic_se: error }) {
  return known(ic) && known(error) && Z * error > WIDEST;
}

/** Wilson's 95 % interval of a share seen in n > 0 trials, as service/scoreboard/measures.py has it. */
export function wilson(share, n) {
  const spread = (Z * Z) / n;
  const centre = (share + spread / 2) / (1 + spread);
  const half = (Z / (1 + spread)) * Math.sqrt((share * (1 - share)) / n + spread / (4 * n));
  return [share === 0 ? 0 : Math.max(0, centre - half), share === 1 ? 1 : Math.min(1, centre + half)];
}
