// How long to wait before the next attempt to connect (docs/close-codes.md): a random time up to 1 s, the bound doubled
// after each failure up to 60 s, anew after a minute of health. Random, so that a restarted service is not met by
// everybody at once.

const FIRST_MS = 1000;
const LAST_MS = 60000;
const HEALTHY_MS = 60000;

export class Backoff {
  constructor(random = Math.random) {
    this.random = random;
    this.bound = FIRST_MS;
  }

  /** The pause after a connection that lasted so long; 0 where none came about. */
  pause(lasted) {
    if (lasted >= HEALTHY_MS) this.bound = FIRST_MS;
    const wait = this.random() * this.bound;
    this.bound = Math.min(2 * this.bound, LAST_MS);
    return wait;
  }
}
