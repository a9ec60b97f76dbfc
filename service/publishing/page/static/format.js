// Numbers and times as text. Undefined is NONE, never 0; 0 is a value.

export const NONE = "–";
const MINUS = "−";
const LARGE = 100;

export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Whole numbers: 77,301. */
export function count(value) {
  return known(value) ? fixed(value, 0).replace(/\B(?=(\d{3})+$)/g, ",") : NONE;
}

/** A number of trials that need not be whole: one decimal while it is small. */
export function trials(value) {
  return known(value) && value < LARGE ? fixed(value, 1) : count(value);
}

/** So many decimals; a minus sign as typographers have it, and none before zero. */
export function fixed(value, decimals) {
  if (!known(value)) return NONE;
  const digits = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(digits) !== 0 ? MINUS + digits : digits;
}

/** The same, with a plus sign. */
export function signed(value, decimals) {
  if (!known(value)) return NONE;
  const text = fixed(value, decimals);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** A share of 1 in percent: 50.2 %. */
export function percent(share, decimals = 1) {
  return known(share) ? `${fixed(100 * share, decimals)} %` : NONE;
}

/** The same, with a plus sign. */
export function signedPercent(share, decimals = 1) {
  return known(share) ? `${signed(100 * share, decimals)} %` : NONE;
}

/** Both ends of an interval of shares: 44.1 to 56.4 %. */
export function percents(low, high) {
  return known(low) && known(high) ? `${fixed(100 * low, 1)} to ${percent(high)}` : NONE;
}

/** Value and the half width of its 95 % interval: +0.003 ± 0.081. */
export function plusMinus(value, half, decimals) {
  if (!known(value)) return NONE;
  return known(half) ? `${signed(value, decimals)} ± ${fixed(half, decimals)}` : signed(value, decimals);
}

/** 2025-11-21 10:22:00 UTC; a time of 0 or before is none. */
export function utc(ms) {
  return known(ms) && ms > 0 ? `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC` : NONE;
}

/** A span in its two largest units: 34 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function span(ms) {
  if (!known(ms)) return NONE;
  const s = Math.max(0, Math.floor(ms / 1000));
  const whole = (unit) => Math.floor(s / unit);
  const units = [[whole(86400), "d"], [whole(3600) % 24, "h"], [whole(60) % 60, "min"], [s % 60, "s"]];
  const first = units.findIndex(([number]) => number > 0);
  if (first < 0) return "0 s";
  return units.slice(first, first + 2).filter(([number], place) => place === 0 || number > 0)
    .map(([number, unit]) => `${number} ${unit}`).join(" ");
}
