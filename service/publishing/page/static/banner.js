// The first thing to be read: where the numbers come from, and whether they can still be believed.

import { byId, say } from "./dom.js";
import { span, utc } from "./format.js";

const PAGE = document.title; // as the file has it
const SOURCES = {
  live: ["LIVE", "from the venues' feeds"],
  simulated: ["SIMULATED", "an invented market: nothing here is about a real one"],
  replay: ["REPLAY", "a recording is played: this is not now"],
};

/** What a source is called; one that is not known is never taken for live. */
export function sourceName(source) {
  return (SOURCES[source] ?? ["UNKNOWN SOURCE"])[0];
}

/**
 * The condition of the page: {kind, headline, text}. `kind`: the source, or "connecting", "stale", "disconnected",
 * which override it. `old`: what is late and by how much, "" if nothing is. `source`: null before the first hello.
 */
export function condition(feed, source, old) {
  const [name, meaning] = SOURCES[source] ?? ["UNKNOWN SOURCE", "the service does not say where the numbers come from"];
  const was = source === null ? "" : `${name.toLowerCase()} numbers, `;
  const ended = feed.why === "" ? "the service does not answer" : feed.why;
  const cut = (text) => ({ kind: "disconnected", headline: "DISCONNECTED", text: was + text });
  if (feed.state === "refused") return cut(`for good: ${ended}. Reload the page.`);
  if (feed.failures > 0) return cut(`no longer renewed: ${ended}`);
  if (source === null) return { kind: "connecting", headline: "CONNECTING", text: "nothing has been heard yet" };
  if (old !== "") return { kind: "stale", headline: "STALE", text: `${was}${old}` };
  return { kind: source in SOURCES ? source : "unknown", headline: name, text: meaning };
}

// What counts seconds stays out of the live region, which would be read aloud every second.
function retry(feed) {
  if (feed.state === "waiting") return `next attempt in ${span(feed.left() + 999)}`;
  if (feed.state === "connecting" && feed.failures > 0) return "connecting";
  return feed.late() ? `silent for ${span(feed.silence())}` : "";
}

/** Shows it. `ts`: what the numbers are as of; `age`: of that in ms, NaN if not known; `venues`: of the last status. */
export function show(now, feed, ts, age, venues) {
  const banner = byId("banner");
  if (banner.dataset.kind !== now.kind) banner.dataset.kind = now.kind;
  say(byId("condition"), now.headline);
  say(byId("meaning"), now.text);
  say(byId("as-of"), ts > 0 ? `as of ${utc(ts)}` : "no numbers yet");
  say(byId("age"), ts > 0 && Number.isFinite(age) ? `${span(age)} ago` : "");
  say(byId("retry"), retry(feed));
  byId("hurry").hidden = feed.state !== "waiting";
  const states = venues === null ? [] : Object.values(venues);
  const up = states.filter((venue) => venue.up).length;
  const heard = now.kind in SOURCES; // an old count of fresh venues would be one more stale number
  say(byId("venues"), venues === null || !heard ? "" : `${up} of ${states.length} venues fresh`);
  byId("venues").classList.toggle("trouble", states.length > 0 && up === 0);
  document.title = `${now.headline} · ${PAGE}`;
}

/** Look after the feed each second and whenever the reader comes back, with `tick` after it. */
export function keep(feed, tick) {
  byId("hurry").addEventListener("click", () => feed.hurry());
  addEventListener("online", () => feed.hurry());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) feed.hurry();
    tick();
  });
  setInterval(() => {
    feed.check();
    tick();
  }, 1000);
}
