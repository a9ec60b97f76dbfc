// Time that has passed. The wall clock may be set, the steady one may stand still while the machine sleeps: the larger
// of the two, so that an old number never looks young.

/** A function that tells the milliseconds since this call. */
export function stopwatch() {
  const wall = Date.now();
  const steady = performance.now();
  return () => Math.max(0, Date.now() - wall, performance.now() - steady);
}
