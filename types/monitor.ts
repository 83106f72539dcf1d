/** How hard the process is pressed. */
export type PressureLevel = 'normal' | 'elevated' | 'critical'

/** One source of pressure. `read()` is called about twice a second and must be cheap. */
export interface Monitor {
  readonly name: string
  /** Whether its pressure raises the level, or is only reported. */
  readonly acts: boolean
  /** 0 (nothing) to 1 (at the limit), more when beyond it; `undefined` while there is nothing to say. */
  read(): number | undefined
  /** What `snapshot()` shows beside the pressure: limits and where they came from. */
  describe?(): Record<string, number | string>
  stop?(): void
}
