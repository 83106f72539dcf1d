/** Milliseconds by a clock that all processes of the machine share, and that nobody sets. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
