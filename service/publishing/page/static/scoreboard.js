// The scoreboard's page: what is known, from where, and how old. Drawing is the views' part.

import * as banner from "./banner.js";
import { byId, say } from "./dom.js";
import * as falls from "./falls.js";
import { Feed } from "./feed.js";
import { NONE, count, known, span, utc } from "./format.js";
import * as horizons from "./horizons.js";
import * as source from "./source.js";
import { Symbols } from "./symbols.js";
import { stopwatch } from "./watch.js";
import { Weights } from "./weights.js";

const KEPT = "Keep this number and hash now and then: elr scoreboard --hash NUMBER:HASH then tells whether the ledger " +
  "still has that line as it was.";
const NOT_KEPT = "No ledger is written here (scoreboard.folder is not set): nobody can check these outcomes later.";
const EVERY_MS = 60000; // the feed sends a scoreboard a minute
const LATE = 1.5; // as with heartbeats: so many promised spans without one, and it is late
const FETCH_MS = 2000; // a replay's minutes may be short: the lists are not asked for more often than this

const symbols = new Symbols();
const weights = new Weights();
const board = { pooled: null, fetched: null, weights: null, venues: null };
const failed = { scoreboard: "", weights: "" };
let epoch = null;
let server = null;
let service = null; // the service's clock when it was last heard, and how long ago that was
let fetching = false;
let again = null;
let lastFetch = null;

const feed = new Feed(source.feedAddress(), ["scoreboard", "status"], heard, tick);

/** The service's time: ages are told by its own clock, whatever this machine's says. */
function now() {
  return service === null ? NaN : service.ts + service.since();
}

/** The newest numbers over all symbols. */
function newest() {
  const { pooled, fetched } = board;
  if (pooled === null || (fetched !== null && fetched.ts >= pooled.ts)) return fetched;
  const records = Object.entries(pooled.horizons);
  const filled = records.map(([name, record]) => [name, { ...record, bins: fetched?.horizons[name]?.bins }]);
  return { ...pooled, horizons: Object.fromEntries(filled), deleveraging: withBins(pooled, fetched) };
}

/** The feed's record of the falls, with the bins that only the list has. */
function withBins({ deleveraging }, fetched) {
  if (deleveraging === undefined) return null; // of a service from before it
  const records = Object.entries(deleveraging.falls);
  const filled = records.map(([name, said]) => [name, { ...said, bins: fetched?.deleveraging.falls[name]?.bins }]);
  return { ...deleveraging, falls: Object.fromEntries(filled) };
}

function heard(message) {
  const ts = message.type === "heartbeat" ? message.ts : message.sent_ts;
  if (known(ts)) service = { ts, since: stopwatch() };
  if ((message.type === "hello" || message.type === "heartbeat") && message.epoch !== epoch) {
    if (epoch !== null) forget(); // another start: its record may be another one
    epoch = message.epoch;
    if (feed.state === "connected") renew();
  }
  if (message.type === "hello") {
    if (server === null) server = message.server;
    byId("reload").hidden = message.server === server;
  } else if (message.type === "subscribed" || (message.type === "scoreboard" && message.kind === "update")) {
    renew();
  }
  if (message.type === "scoreboard") {
    board.pooled = message;
    draw();
  } else if (message.type === "status") {
    board.venues = message.venues;
    tick();
  }
}

function forget() {
  board.pooled = board.fetched = board.weights = board.venues = null;
  service = null;
  clear();
}

function clear() {
  falls.clear();
  horizons.clear();
  symbols.take([]);
  weights.clear();
  for (const id of ["ledger-seq", "ledger-hash", "ledger-kept", "since"]) say(byId(id), NONE);
}

/** Asks for the lists, one question at a time; questions that come meanwhile become one. */
function renew() {
  const wait = lastFetch === null ? 0 : FETCH_MS - lastFetch();
  if (fetching || wait > 0) {
    again ??= setTimeout(() => {
      again = null;
      renew();
    }, Math.max(wait, 100));
    return;
  }
  fetching = true;
  lastFetch = stopwatch();
  const asked = epoch;
  const take = (name, answer) => answer.then(
    (found) => {
      failed[name] = "";
      if (epoch === asked) board[name === "scoreboard" ? "fetched" : "weights"] = found;
    },
    (error) => {
      failed[name] = String(error.message);
    },
  );
  Promise.all([take("scoreboard", source.scoreboard()), take("weights", source.weights())]).then(() => {
    fetching = false;
    draw();
    if (board.fetched !== null) symbols.take(board.fetched.symbols);
    if (board.weights !== null) weights.take(board.weights);
  });
}

function draw() {
  const shown = newest();
  if (shown !== null) {
    if (shown.deleveraging !== null) falls.show(shown.deleveraging, shown.events);
    horizons.show(shown.horizons);
    say(byId("ledger-seq"), count(shown.ledger.seq));
    say(byId("ledger-hash"), shown.ledger.seq > 0 ? shown.ledger.hash : NONE);
    say(byId("ledger-kept"), shown.ledger.kept ? KEPT : NOT_KEPT);
    const since = `${utc(shown.since)}, ${span(shown.ts - shown.since)} of record`;
    say(byId("since"), known(shown.since) ? since : "no published signal yet");
  }
  tick();
}

/** What is late on a feed that is heard; "" if nothing. */
function late(ts) {
  if (feed.late()) return "nothing heard for longer than the feed promises";
  if (ts > 0 && now() - ts > LATE * EVERY_MS) return "the feed goes on, but no new scoreboard comes";
  return "";
}

/** One part's own time; true where it is old although the rest may not be. */
function part(id, ts, trouble) {
  const old = !(ts > 0) || now() - ts > LATE * EVERY_MS;
  const words = ts > 0 ? `as of ${utc(ts)}` : "not there yet";
  say(byId(`${id}-as-of`), trouble === "" ? words : `${words}; could not be renewed: ${trouble}`);
  byId(`${id}-part`).classList.toggle("old", old || trouble !== "");
}

function tick() {
  const ts = newest()?.ts ?? 0;
  const seen = banner.condition(feed, feed.hello?.source ?? null, late(ts));
  banner.show(seen, feed, ts, now() - ts, board.venues);
  document.body.classList.toggle("old", ["stale", "disconnected", "connecting"].includes(seen.kind) || !(ts > 0));
  part("symbols", board.fetched?.ts ?? 0, failed.scoreboard);
  part("weights", board.weights?.ts ?? 0, failed.weights);
}

banner.keep(feed, tick);
clear();
feed.connect();
