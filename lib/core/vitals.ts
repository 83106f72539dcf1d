import type { PressureLevel } from '../../types/monitor.js'

/** What rooms read of each other: plain values, each written by one room. */
export class Vitals {
  // By the pressure:
  level: PressureLevel = 'normal'
  /** Credited time of the level's last change. */
  levelSince = 0
  /** The highest reading of those monitors that act, and whose it is. */
  pressure = 0
  monitor = 'none'
  /** What is refused of the requests: `some` while they are let in again a few at a time. */
  refuses: 'all' | 'some' | 'none' = 'none'
  /** What idle and heartbeat timeouts are multiplied with. */
  timeoutScale = 1
  // By the drain:
  draining = false
}
