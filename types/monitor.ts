/** How hard the process is pressed. */
export type PressureLevel = 'normal' | 'elevated' | 'critical'

/** What is done under pressure, in the order in which it begins by default; see docs/small-container.md. */
export type PressureActionName =
  | 'closeConnections'
  | 'shortenTimeouts'
  | 'refuseUpgrades'
  | 'refuseRequests'
  | 'pauseReading'
  | 'evict'

/** One source of pressure. `read()` is called once or twice a second and must be cheap. One that throws, or returns anything else (a promise too), is told of once, and not asked again. */
export interface Monitor {
  /** Letters, digits, `.`, `_` and `-`, 64 at most: it stands in logs, in the snapshot and in metrics. */
  readonly name: string
  /** Whether its pressure raises the level, or is only reported. Default `true`. */
  readonly acts?: boolean | undefined
  /** 0 (nothing) to 1 (at the limit; more counts as 1); `undefined` while there is nothing to say. */
  read(): number | undefined
  /** What `snapshot()` shows beside the pressure: limits and where they came from. */
  describe?(): Record<string, number | string>
  /** Called at `detach`. */
  stop?(): void
}
