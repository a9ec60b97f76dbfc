// The lists behind the page, over HTTP. Paths are relative to the page, so that it also works behind a prefix.

const WAIT_MS = 15000;
const PAGES = 1000; // no service has so many; a list that never ends must

/** An address beside the page. */
export function beside(path) {
  return new URL(path.replace(/^\//, ""), document.baseURI);
}

/** The address of the feed. */
export function feedAddress() {
  const url = beside("v1/stream");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

async function asked(path) {
  const answer = await fetch(beside(path), { cache: "no-store", signal: AbortSignal.timeout(WAIT_MS) });
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return answer.json();
}

/** The scoreboard of everything with all symbols, page by page. */
export async function scoreboard() {
  const whole = await asked("v1/scoreboard");
  let next = whole.next;
  for (let page = 1; next !== null; page += 1) {
    if (page === PAGES) throw new Error("v1/scoreboard does not end");
    const more = await asked(next);
    whole.symbols.push(...more.symbols);
    next = more.next;
  }
  return whole;
}

export function weights() {
  return asked("v1/weights");
}
