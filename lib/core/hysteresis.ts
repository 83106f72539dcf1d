/** Differences of decimal fractions are a little beside what they should be. */
const precision = 1e9

interface Thresholds {
  readonly enter: readonly [number, number]
  readonly leave: readonly [number, number]
}

/** The pressure below which an action with a threshold of its own ends: as far below it as the level next to it is left. At 0 or less it never ends. */
export function leaveThreshold(at: number, { enter, leave }: Thresholds): number {
  const i = at >= enter[1] ? 1 : 0
  return Math.round((at - (enter[i] - leave[i])) * precision) / precision
}
