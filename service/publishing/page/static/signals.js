// The page of the signals: the latest of every symbol, one in detail, and the alerts. Drawing is the view's part.

import * as banner from "./banner.js";
import { byId, element, say } from "./dom.js";
import { Feed } from "./feed.js";
import { NONE, known } from "./format.js";
import { Row, advise, alertLine, detail, heads, marketLine, readable } from "./signal.js";
import * as source from "./source.js";
import { evidence } from "./verdict.js";
import { stopwatch } from "./watch.js";

const LATE_MS = 30000; // as long as a signal may be used
const ALERTS = 40;

const signals = new Map(); // by symbol
const rows = new Map();
let market = null; // the latest of signal.MARKET
const alerts = new Map(); // by channel and number
let epoch = null;
let server = null;
let service = null; // the service's clock when it was last heard, and how long ago that was
let venues = null;
let newest = 0; // time of the last tick
let chosen = null;
let timer = null;
const drawn = { detail: "", alerts: "" }; // what is drawn: the same is not drawn again, lest a selection is lost

const feed = new Feed(source.feedAddress(), ["signal.*", "signal.MARKET", "alert.*", "status"], heard, tick);

/** The service's time: ages are told by its own clock, whatever this machine's says. */
function now() {
  return service === null ? NaN : service.ts + service.since();
}

function heard(message) {
  const ts = message.type === "heartbeat" ? message.ts : message.sent_ts;
  if (known(ts)) service = { ts, since: stopwatch() };
  if ((message.type === "hello" || message.type === "heartbeat") && message.epoch !== epoch) {
    if (epoch !== null) forget(); // another start
    epoch = message.epoch;
  }
  if (message.type === "hello") {
    if (server === null) server = message.server;
    byId("reload").hidden = message.server === server;
    list(message.symbols);
  } else if (message.type === "signal" && message.channel === "signal.MARKET") {
    market = message;
    later();
  } else if (message.type === "signal") {
    signals.set(message.symbol, { ...message, readable: readable(message) }); // what cannot be drawn stops all drawing
    newest = Math.max(newest, message.ts);
    later();
  } else if (message.type === "alert") {
    alerts.set(`${message.channel} ${message.seq}`, message);
    later();
  } else if (message.type === "status") {
    venues = message.venues;
  }
}

function forget() {
  signals.clear();
  alerts.clear();
  venues = service = market = null;
  newest = 0;
}

/** A row for each symbol, as configured. */
function list(symbols) {
  if (symbols.join() === [...rows.keys()].join()) return;
  rows.clear();
  for (const symbol of symbols) rows.set(symbol, new Row(symbol, choose));
  if (!rows.has(chosen)) chosen = symbols[0] ?? null;
  byId("signals-body").replaceChildren(...[...rows.values()].map((row) => row.node));
  narrow();
  tick();
}

function narrow() {
  const wanted = byId("filter").value.trim().toUpperCase();
  for (const [symbol, row] of rows) row.node.hidden = !symbol.toUpperCase().includes(wanted);
}

function choose(symbol) {
  chosen = symbol;
  tick();
  byId("detail-title").scrollIntoView({ block: "nearest" });
}

/** The messages of a tick come one by one and are drawn at once. */
function later() {
  timer ??= setTimeout(() => {
    timer = null;
    tick();
  }, 50);
}

/** The signal of a symbol if it may still be used, and if not, why. */
function usable(symbol) {
  const signal = signals.get(symbol) ?? null;
  if (signal === null) return [null, "no signal yet"];
  if (!signal.readable) return [null, "of another version: reload the page"];
  return now() > signal.ts + signal.ttl_ms ? [null, "too old to be used"] : [signal, ""];
}

function late() {
  if (feed.late()) return "nothing heard for longer than the feed promises";
  return newest > 0 && now() - newest > LATE_MS ? "the feed goes on, but no new signals come" : "";
}

function tick() {
  const seen = banner.condition(feed, feed.hello?.source ?? null, late());
  banner.show(seen, feed, newest, now() - newest, venues);
  document.body.classList.toggle("old", ["stale", "disconnected", "connecting"].includes(seen.kind) || newest === 0);
  const codes = new Set();
  for (const [symbol, row] of rows) {
    const [signal, why] = usable(symbol);
    row.show(signal, why);
    row.button.setAttribute("aria-pressed", String(symbol === chosen));
    if (signal !== null) codes.add(signal.p_deleveraging.evidence);
  }
  say(byId("market"), marketLine(market, now()));
  say(byId("evidence"), evidence([...codes]));
  drawDetail();
  drawAlerts();
}

function drawDetail() {
  const [signal, why] = chosen === null ? [null, ""] : usable(chosen);
  const about = `${epoch} ${chosen} ${signal?.seq} ${why}`;
  if (drawn.detail === about) return;
  drawn.detail = about;
  say(byId("detail-title"), chosen ?? NONE);
  const parts = signal === null ? [element("p", { class: "note" }, why)] : detail(signal);
  byId("detail").replaceChildren(...parts);
}

function drawAlerts() {
  const about = `${epoch} ${[...alerts.keys()].join()}`;
  if (drawn.alerts === about) return;
  drawn.alerts = about;
  const told = [...alerts.values()].sort((a, b) => b.ts - a.ts).slice(0, ALERTS);
  const none = element("li", { class: "note" }, "none heard");
  byId("alerts").replaceChildren(...(told.length === 0 ? [none] : told.map(alertLine)));
}

fetch("v1/advice").then((answer) => answer.ok && answer.json()).then((table) => {
  if (table) advise(table);
  drawn.detail = ""; // with its lines from now on
  tick();
}).catch(() => {}); // without it the numbers stand alone

byId("signals-head").replaceChildren(...heads());
byId("filter").addEventListener("input", narrow);
banner.keep(feed, tick);
feed.connect();
