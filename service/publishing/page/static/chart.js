// Two drawings: a value with its interval on a track, and said against came. Positions in percent, so that they fit
// any width without a redraw.

import { drawn } from "./dom.js";
import { fixed, known } from "./format.js";
import { wilson } from "./verdict.js";

const EDGE = 1e-12; // 0.7 - 0.5 is a little more than 0.2

/** The narrowest of the half widths, from the middle, that holds all values; the last where none does. */
export function reach(middle, halves, values) {
  const far = Math.max(0, ...values.filter(known).map((value) => Math.abs(value - middle)));
  return halves.find((half) => far <= half + EDGE) ?? halves.at(-1);
}

/**
 * A whisker from low to high with a dot at value, on a track of middle ± half with a mark at the middle. What lies
 * beyond the track ends at its edge without a cap. An empty track where there is no interval.
 */
export function whisker({ low, high, value, middle, half, code, label, ends = null }) {
  const at = (x) => 4 + 92 * Math.min(1, Math.max(0, (x - middle + half) / (2 * half)));
  const inside = (x) => Math.abs(x - middle) <= half + EDGE;
  const tall = ends === null ? 20 : 36;
  const line = (x1, y1, x2, y2, kind) => drawn("line", { x1: `${x1}%`, y1, x2: `${x2}%`, y2, class: kind });
  const text = (x, words) => drawn("text", { x: `${x}%`, y: 33, "text-anchor": "middle" }, words);
  const parts = [line(4, 10, 96, 10, "track"), line(at(middle), 1, at(middle), 19, "middle")];
  if (known(low) && known(high)) {
    parts.push(line(at(low), 10, at(high), 10, "whisker"));
    for (const end of [low, high]) if (inside(end)) parts.push(line(at(end), 5, at(end), 15, "whisker"));
  }
  if (known(value) && inside(value)) {
    parts.push(drawn("circle", { cx: `${at(value)}%`, cy: 10, r: 4.5, class: "value" }));
  }
  if (ends !== null) parts.push(text(8, ends[0]), text(50, ends[1]), text(92, ends[2]));
  const about = { class: `interval ${code}`, role: "img", "aria-label": label, width: "100%", height: tall };
  return drawn("svg", about, ...parts);
}

const SIZE = 200;
const MARGIN = 30;

/**
 * Reliability: what was said along, what came up, the diagonal where both are one. A dot's area grows with its outcomes;
 * its whisker is Wilson's interval of them, worth as many trials each as those of the whole record. `worth`: null where
 * that is not known: no whiskers. `said`: what is said along.
 */
export function reliability(bins, worth, label, said = "said (p_hit)") {
  const half = reach(0.5, [0.1, 0.2, 0.3, 0.5], bins.flatMap((bin) => [bin.p_hit, bin.hit]));
  const place = (share) => Math.min(1, Math.max(0, (share - 0.5 + half) / (2 * half)));
  const x = (share) => MARGIN + (SIZE - MARGIN - 8) * place(share);
  const y = (share) => SIZE - MARGIN - (SIZE - MARGIN - 8) * place(share);
  const [low, high] = [0.5 - half, 0.5 + half];
  const parts = [
    drawn("rect", { x: x(low), y: y(high), width: x(high) - x(low), height: y(low) - y(high), class: "frame" }),
    drawn("line", { x1: x(low), y1: y(low), x2: x(high), y2: y(high), class: "middle" }),
  ];
  for (const share of [low, 0.5, high]) {
    parts.push(drawn("text", { x: x(share), y: SIZE - MARGIN + 14, "text-anchor": "middle" }, fixed(share, 1)));
    parts.push(drawn("text", { x: MARGIN - 4, y: y(share) + 4, "text-anchor": "end" }, fixed(share, 1)));
  }
  parts.push(drawn("text", { x: (x(low) + x(high)) / 2, y: SIZE - 3, "text-anchor": "middle" }, said));
  parts.push(drawn("text", { x: MARGIN + 6, y: y(high) + 14, "text-anchor": "start" }, "came"));
  const most = Math.max(1, ...bins.map((bin) => bin.n));
  for (const bin of bins) {
    if (worth !== null) {
      const [from, to] = wilson(bin.hit, Math.max(bin.n * worth, 1e-9));
      parts.push(drawn("line", { x1: x(bin.p_hit), y1: y(from), x2: x(bin.p_hit), y2: y(to), class: "whisker" }));
    }
    const r = 2.5 + 4.5 * Math.sqrt(bin.n / most);
    parts.push(drawn("circle", { cx: x(bin.p_hit), cy: y(bin.hit), r, class: "value" }));
  }
  const about = { class: "reliability", role: "img", "aria-label": label, viewBox: `0 0 ${SIZE} ${SIZE}` };
  return drawn("svg", about, ...parts);
}
