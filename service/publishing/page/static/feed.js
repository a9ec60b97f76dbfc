// The connection to the feed (docs/messages.md): subscribes, comes back by itself, and knows how long it has heard
// nothing. Asks for no resume: a page shows the latest, and a snapshot of every channel is that.

import { Backoff } from "./backoff.js";
import { stopwatch } from "./watch.js";

const VERSION = 1;
const HEARTBEAT_S = 10; // until hello says it
const LATE = 1.5; // promised spans of silence from which on it is late
const DEAD = 2.5; // and from which on the connection is given up: 25 s
const OPENING_MS = 10000;
const RATE_MS = 60000; // after 4008: a minute, as the table of close codes says
const FOR_GOOD = [1002, 1003, 1007, 1009, 4001, 4005, 4006]; // "no" in that table

/**
 * States: "connecting", "connected" (subscribed), "waiting" (for the next attempt), "refused" (for good).
 * `heard(message)` gets every message, `changed()` is called at every change of state. `check()` wants to be called
 * about once a second.
 */
export class Feed {
  constructor(url, channels, heard, changed) {
    this.url = url;
    this.channels = channels;
    this.heard = heard;
    this.changed = changed;
    this.state = "connecting";
    this.why = "";
    this.hello = null; // of the last connection that came about
    this.failures = 0; // attempts and connections that ended since then
    this.backoff = new Backoff();
    this.socket = null;
    this.timer = null;
  }

  connect() {
    clearTimeout(this.timer);
    this.since = stopwatch();
    this.silence = this.since;
    this.opened = false;
    this.restart = null;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onmessage = (event) => socket === this.socket && this.#read(event.data);
    socket.onclose = (event) => socket === this.socket && this.#ended(event.code, event.reason);
    this.#become("connecting", this.why);
  }

  /** Do not wait any longer. */
  hurry() {
    if (this.state === "waiting") this.connect();
  }

  /** Whether nothing was heard for longer than the feed promises. */
  late() {
    return this.state === "connected" && this.silence() > LATE * this.#promise();
  }

  /** Milliseconds until the next attempt. */
  left() {
    return this.state === "waiting" ? Math.max(0, this.pause - this.paused()) : 0;
  }

  check() {
    if (this.state === "connecting" && this.since() > OPENING_MS) this.#ended(0, "no answer");
    else if (this.state === "connected" && this.silence() > DEAD * this.#promise()) this.#ended(0, "it fell silent");
  }

  #promise() {
    return 1000 * (this.hello === null ? HEARTBEAT_S : this.hello.heartbeat_s);
  }

  #read(text) {
    this.silence = stopwatch();
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return this.#refuse("it sends what is no JSON");
    }
    if (message.type === "hello") {
      if (message.v !== VERSION) return this.#refuse(`it speaks version ${message.v} of the format`);
      this.greeting = message;
      this.socket.send(JSON.stringify({ op: "subscribe", id: 1, channels: this.channels }));
    } else if (message.type === "error") {
      return this.#refuse(`it answered: ${message.code}`);
    } else if (message.type === "notice") {
      this.restart = message.reconnect_after_ms;
    }
    this.heard(message);
    if (message.type === "subscribed") {
      this.opened = true;
      this.hello = this.greeting;
      this.failures = 0;
      this.#become("connected");
    }
  }

  #refuse(why) {
    this.#drop();
    this.#become("refused", why);
  }

  #drop() {
    const socket = this.socket;
    this.socket = null; // its events are no longer ours: a dead connection takes its time to close
    if (socket !== null) socket.close();
  }

  #ended(code, reason) {
    const lasted = this.opened ? this.since() : 0;
    this.#drop();
    this.failures += 1;
    if (FOR_GOOD.includes(code)) return this.#become("refused", `it closed with ${code} ${reason}`);
    this.pause = this.backoff.pause(lasted);
    if (this.restart !== null) this.pause += this.restart;
    if (code === 4008) this.pause += RATE_MS;
    this.paused = stopwatch();
    this.timer = setTimeout(() => this.connect(), this.pause);
    this.#become("waiting", code === 1001 ? "the service restarts" : reason);
  }

  #become(state, why = "") {
    this.state = state;
    this.why = why;
    this.changed();
  }
}
