/** The three probes of an orchestrator. */
export type Probe = 'livez' | 'readyz' | 'startupz'

/** Throws, rejects or returns `false` when unhealthy. Gets a signal that is aborted at its time limit. */
export type Check = (signal: AbortSignal) => unknown

/** `pass`, `warn` (a soft check failed: still 200), `fail` (503). */
export type CheckStatus = 'pass' | 'warn' | 'fail'

export interface CheckOptions {
  /** Which probe asks it, by its path or by its word. Default `readyz`. `startupz`: until it has passed once. */
  probe?: Probe | 'liveness' | 'readiness' | 'startup'
  /** Time limit in ms. Default `probes.checkTimeoutMs` (900), which no answer waits beyond: a check that is given longer is answered for by its last result. */
  timeoutMs?: number
  /** How long a result is used again, in ms. Default `probes.cacheMs` (1000). */
  cacheMs?: number
  /** A soft check that fails is a warning: the probe answers 200. Default `false`. */
  soft?: boolean
  /** So many failures in a row make it fail; fewer are a warning. The very first result counts at once. Default 1, since orchestrators count too. */
  failAfter?: number
  /** Once it fails, so many passes in a row make it pass again. Default 1, and 3 while it flaps: when it has turned 3 times in its last 8 results. */
  passAfter?: number
}

export interface CheckResult {
  status: CheckStatus
  /** Why it failed, escaped and cut. */
  output?: string
  /** Epoch milliseconds of the run that gave this result. */
  time: number
  durationMs: number
}

export interface ProbeAnswer {
  status: CheckStatus
  checks: Record<string, CheckResult>
}
