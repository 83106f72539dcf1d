/**
 * @typedef {object} Scenario How many of each, and how long each scene is watched.
 * @property {number} ceilingMib The small box: the server is killed above it.
 * @property {number} healthy
 * @property {number} vanished
 * @property {number} reset
 * @property {number} stallChunks Of 1.2 s each.
 * @property {{ count: number, everyMs: number }} abandoned
 * @property {{ count: number, everyMs: number }} notReading
 * @property {Record<'connect' | 'vanish' | 'reset' | 'stall' | 'abandon' | 'notReading' | 'settle', number>} watchMs
 */

/** @type {Scenario} */
export const full = {
  ceilingMib: 256,
  healthy: 24,
  vanished: 8,
  reset: 12,
  stallChunks: 4,
  abandoned: { count: 190, everyMs: 62 },
  notReading: { count: 10, everyMs: 300 },
  watchMs: {
    connect: 1_500,
    vanish: 4_000,
    reset: 1_500,
    stall: 6_000,
    abandon: 8_500,
    notReading: 3_500,
    settle: 4_000,
  },
}

/** The same story for a test. @type {Scenario} */
export const quick = {
  ceilingMib: 256,
  healthy: 12,
  vanished: 4,
  reset: 6,
  stallChunks: 2,
  abandoned: { count: 36, everyMs: 60 },
  notReading: { count: 4, everyMs: 250 },
  watchMs: {
    connect: 800,
    vanish: 500,
    reset: 1_000,
    stall: 3_300,
    abandon: 1_000,
    notReading: 1_200,
    settle: 4_000,
  },
}
