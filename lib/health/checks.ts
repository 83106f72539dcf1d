import type { CheckChange } from '../../types/events.js'
import type { Check, CheckOptions, CheckResult, CheckStatus, Probe, ProbeAnswer } from '../../types/health.js'
import type { Clock } from '../core/clock.js'
import { errorText } from '../core/error-text.js'
import { PeerpulseError } from '../core/errors.js'
import type { Wheel } from '../core/wheel.js'

interface Entry {
  readonly name: string
  readonly check: Check
  readonly probe: Probe
  readonly timeoutMs: number
  readonly cacheMs: number
  readonly soft: boolean
  last: CheckResult | undefined
  /** Real time of the last result. */
  ranAt: number
  running: Promise<CheckResult> | undefined
  /** A startup check that has passed once is not asked again. */
  passed: boolean
}

/** What checks need from the pulse. */
export interface CheckHost {
  readonly clock: Clock
  readonly wheel: Wheel
  readonly timeoutMs: number
  readonly cacheMs: number
  onChange(change: CheckChange): void
}

/** Both ways to name a probe: by its path's name, as Kubernetes does, and by its word. */
const probeNames: Readonly<Record<NonNullable<CheckOptions['probe']>, Probe>> = {
  livez: 'livez',
  readyz: 'readyz',
  startupz: 'startupz',
  liveness: 'livez',
  readiness: 'readyz',
  startup: 'startupz',
}

/** A name stands in a URL (`/readyz/<name>`) and in `?exclude=`. */
const validName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/**
 * The app's checks, each with a time limit, a cache, and one run at a time however many ask. A run that goes on beyond
 * its limit is given up: nobody can tell a slow one from one that never ends.
 */
export class Checks {
  readonly #entries = new Map<string, Entry>()
  readonly #host: CheckHost
  #abandoned = false
  readonly #waiting = new Set<(words: string) => void>()

  constructor(host: CheckHost) {
    this.#host = host
  }

  add(name: string, check: Check, options: CheckOptions, reserved: readonly string[]): Disposable {
    const problem = problemOf(name, check, options, this.#entries.has(name) || reserved.includes(name))
    if (problem !== undefined)
      throw new PeerpulseError('PEERPULSE_ERR_INVALID_ARGUMENT', `addCheck: ${problem}`)
    const entry: Entry = {
      name,
      check,
      probe: probeNames[options.probe ?? 'readyz'],
      timeoutMs: options.timeoutMs ?? this.#host.timeoutMs,
      cacheMs: options.cacheMs ?? this.#host.cacheMs,
      soft: options.soft ?? false,
      last: undefined,
      ranAt: 0,
      running: undefined,
      passed: false,
    }
    this.#entries.set(name, entry)
    return {
      [Symbol.dispose]: () => {
        if (this.#entries.get(name) === entry) this.#entries.delete(name)
      },
    }
  }

  names(probe: Probe): string[] {
    return [...this.#entries.values()].filter((entry) => entry.probe === probe).map(({ name }) => name)
  }

  /** Asks the checks of a probe, all at once; those that are named in `excluded` are left out. */
  async answer(probe: Probe, select: (name: string) => boolean): Promise<ProbeAnswer> {
    const entries = [...this.#entries.values()].filter((entry) => entry.probe === probe && select(entry.name))
    const results = await Promise.all(entries.map((entry) => this.#result(entry)))
    const checks: Record<string, CheckResult> = {}
    entries.forEach((entry, i) => {
      checks[entry.name] = results[i] as CheckResult
    })
    return { status: worst(Object.values(checks).map(({ status }) => status)), checks }
  }

  /** The clock stops: nobody is kept waiting for a check that hangs. */
  abandon(): void {
    this.#abandoned = true
    for (const giveUp of this.#waiting) giveUp('the pulse was detached')
  }

  #result(entry: Entry): Promise<CheckResult> | CheckResult {
    if (entry.passed && entry.probe === 'startupz' && entry.last !== undefined) return entry.last
    if (entry.running !== undefined) return entry.running
    if (entry.last !== undefined && this.#host.clock.realNow() - entry.ranAt < entry.cacheMs)
      return entry.last
    entry.running = this.#run(entry).finally(() => {
      entry.running = undefined
    })
    return entry.running
  }

  async #run(entry: Entry): Promise<CheckResult> {
    const { clock, wheel } = this.#host
    const startedAt = clock.realNow()
    const controller = new AbortController()
    let problem: string | undefined
    if (this.#abandoned) return this.#keep(entry, 'the pulse was detached', 0)
    clock.start()
    let giveUp: (words: string) => void = () => {}
    const timedOut = new Promise<never>((_, reject) => {
      giveUp = (words) => {
        const error = new PeerpulseError('PEERPULSE_ERR_CHECK_TIMEOUT', words)
        reject(error)
        controller.abort(error)
      }
    })
    this.#waiting.add(giveUp)
    const timer = wheel.after(clock.now, entry.timeoutMs, () => giveUp(`no answer in ${entry.timeoutMs} ms`))
    try {
      const answer = await Promise.race([(async () => entry.check(controller.signal))(), timedOut])
      if (answer === false) problem = 'the check answered false'
    } catch (error) {
      problem = errorText(error)
    } finally {
      wheel.cancel(timer)
      this.#waiting.delete(giveUp)
    }
    return this.#keep(entry, problem, Math.round(clock.realNow() - startedAt))
  }

  #keep(entry: Entry, problem: string | undefined, durationMs: number): CheckResult {
    const status: CheckStatus = problem === undefined ? 'pass' : entry.soft ? 'warn' : 'fail'
    const previous = entry.last?.status
    const result: CheckResult = {
      status,
      time: Date.now(),
      durationMs,
      ...(problem === undefined ? undefined : { output: problem }),
    }
    entry.last = result
    entry.ranAt = this.#host.clock.realNow()
    entry.passed ||= status !== 'fail'
    if (status !== previous) {
      this.#host.onChange({ name: entry.name, probe: entry.probe, status, previous, output: result.output })
    }
    return result
  }
}

/** The worst of several statuses; none is a pass. */
export function worst(statuses: readonly CheckStatus[]): CheckStatus {
  if (statuses.includes('fail')) return 'fail'
  return statuses.includes('warn') ? 'warn' : 'pass'
}

function problemOf(name: unknown, check: unknown, options: CheckOptions, taken: boolean): string | undefined {
  if (typeof name !== 'string' || !validName.test(name))
    return `the name must be letters, digits, '.', '_' or '-', 64 at most, not ${typeof name === 'string' ? `'${name}'` : `a ${typeof name}`}`
  if (taken) return `there is a check '${name}' already; dispose it first, or take another name`
  if (typeof check !== 'function') return `the check '${name}' must be a function`
  if (typeof options !== 'object' || options === null) return 'the options must be an object'
  for (const key of Object.keys(options)) {
    if (!['probe', 'timeoutMs', 'cacheMs', 'soft'].includes(key))
      return `unknown option '${key}'; there are probe, timeoutMs, cacheMs and soft`
  }
  const { probe, timeoutMs, cacheMs, soft } = options
  if (probe !== undefined && !Object.hasOwn(probeNames, probe))
    return `probe must be 'livez', 'readyz' or 'startupz', not '${String(probe)}'`
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0))
    return 'timeoutMs must be a number of milliseconds above 0'
  if (cacheMs !== undefined && !(Number.isFinite(cacheMs) && cacheMs >= 0))
    return 'cacheMs must be a number of milliseconds, 0 or more'
  if (soft !== undefined && typeof soft !== 'boolean') return 'soft must be true or false'
  return undefined
}
