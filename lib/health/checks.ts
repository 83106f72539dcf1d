import type { CheckChange } from '../../types/events.js'
import type { Check, CheckOptions, CheckResult, CheckStatus, Probe, ProbeAnswer } from '../../types/health.js'
import type { AbortGuard } from '../core/abort-guard.js'
import type { Clock } from '../core/clock.js'
import { validName } from '../core/config-schema.js'
import { describe, seconds } from '../core/describe.js'
import { errorText } from '../core/error-text.js'
import { PeerpulseError } from '../core/errors.js'
import { outside } from '../core/outside.js'

interface Entry {
  readonly name: string
  readonly check: Check
  readonly probe: Probe
  readonly timeoutMs: number
  readonly cacheMs: number
  readonly soft: boolean
  readonly failAfter: number
  readonly passAfter: number | undefined
  last: CheckResult | undefined
  /** Real time of the last result. */
  ranAt: number
  /** Results in a row that say the contrary of the status. */
  contrary: number
  /** The last results, a bit each, the newest lowest: 1 for a failure. */
  recent: number
  running: Promise<CheckResult> | undefined
  /** When the app's function was called that has not settled yet, in real time. */
  calledAt: number | undefined
  /** A startup check that has passed once is not asked again. */
  passed: boolean
}

/** What checks need from the pulse. */
export interface CheckHost {
  readonly clock: Clock
  readonly aborts: AbortGuard
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

/** A call that ignored its signal for so many of its time limits is taken for lost, and the check is called again. */
const lostAfterLimits = 10

/** A check flaps that has turned so often in its last results; then it has to pass a few times in a row. */
const flapTurns = 3
const flapWindow = 8
const flapPasses = 3

/**
 * The app's checks, each with a time limit, a cache, and one call at a time however many ask, also beyond its limit:
 * what hangs is not called again on top, or a slow database gets slower.
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
      failAfter: options.failAfter ?? 1,
      passAfter: options.passAfter,
      last: undefined,
      ranAt: 0,
      contrary: 0,
      recent: 0,
      running: undefined,
      calledAt: undefined,
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
    const results = await this.#within(entries)
    const checks: Record<string, CheckResult> = {}
    entries.forEach((entry, i) => {
      checks[entry.name] = results[i] ?? entry.last ?? notYet(entry)
    })
    return { status: worst(Object.values(checks).map(({ status }) => status)), checks }
  }

  /** The clock stops: nobody is kept waiting for a check that hangs. */
  abandon(): void {
    this.#abandoned = true
    for (const giveUp of this.#waiting) giveUp('the pulse was detached')
  }

  /** What every check answers; nothing from one that may take longer than an answer, and does. */
  async #within(entries: readonly Entry[]): Promise<(CheckResult | undefined)[]> {
    const { clock, timeoutMs } = this.#host
    const results = entries.map((entry) => this.#result(entry))
    if (!entries.some((entry, i) => entry.timeoutMs > timeoutMs && results[i] instanceof Promise))
      return Promise.all(results)
    clock.start()
    let takeBack: (() => void) | undefined
    const due = new Promise<undefined>((resolve) => {
      takeBack = clock.afterReal(timeoutMs, () => resolve(undefined))
    })
    const answers = await Promise.all(
      entries.map(({ timeoutMs: own }, i) =>
        own > timeoutMs ? Promise.race([results[i], due]) : results[i],
      ),
    )
    takeBack?.()
    return answers
  }

  #result(entry: Entry): Promise<CheckResult> | CheckResult {
    if (entry.passed && entry.probe === 'startupz' && entry.last !== undefined) return entry.last
    if (entry.running !== undefined) return entry.running
    if (entry.last !== undefined && this.#host.clock.realNow() - entry.ranAt < entry.cacheMs)
      return entry.last
    // It answers everybody, and belongs to none of those who ask.
    entry.running = outside(() =>
      this.#run(entry).finally(() => {
        entry.running = undefined
      }),
    )
    return entry.running
  }

  async #run(entry: Entry): Promise<CheckResult> {
    const { clock } = this.#host
    const startedAt = clock.realNow()
    const controller = this.#host.aborts.createController()
    let problem: string | undefined
    if (this.#abandoned) return this.#keep(entry, 'the pulse was detached', 0)
    const stillMs = startedAt - (entry.calledAt ?? startedAt)
    if (entry.calledAt !== undefined && stillMs < entry.timeoutMs * lostAfterLimits)
      return this.#keep(entry, `no answer for ${seconds(stillMs)}`, Math.round(stillMs))
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
    // Whoever asks counts real time: to a prober a stall of ours is no excuse.
    const takeBack = clock.afterReal(entry.timeoutMs, () => giveUp(`no answer in ${entry.timeoutMs} ms`))
    try {
      const answer = await Promise.race([this.#call(entry, controller.signal, startedAt), timedOut])
      if (answer === false) problem = 'the check answered false'
    } catch (error) {
      problem = errorText(error)
    } finally {
      takeBack()
      this.#waiting.delete(giveUp)
    }
    return this.#keep(entry, problem, Math.round(clock.realNow() - startedAt))
  }

  /** A status turns when enough results in a row say so; the first result of all is one. */
  #damp(entry: Entry, problem: string | undefined): { status: CheckStatus; output?: string | undefined } {
    const { last, soft, failAfter } = entry
    entry.recent = ((entry.recent << 1) | (problem === undefined ? 0 : 1)) & ((1 << flapWindow) - 1)
    const passAfter = entry.passAfter ?? (turnsIn(entry.recent) >= flapTurns ? flapPasses : 1)
    if (soft) return { status: problem === undefined ? 'pass' : 'warn', output: problem }
    const fails = last?.status === 'fail'
    if (last === undefined || fails === (problem !== undefined)) entry.contrary = 0
    else entry.contrary++
    if (last === undefined) return { status: problem === undefined ? 'pass' : 'fail', output: problem }
    if (fails && problem === undefined && entry.contrary < passAfter)
      return { status: 'fail', output: `passed ${entry.contrary} of ${passAfter} times in a row` }
    if (!fails && problem !== undefined && entry.contrary < failAfter)
      return { status: 'warn', output: `failed ${entry.contrary} of ${failAfter} times in a row: ${problem}` }
    entry.contrary = 0
    return { status: problem === undefined ? 'pass' : 'fail', output: problem }
  }

  async #call(entry: Entry, signal: AbortSignal, startedAt: number): Promise<unknown> {
    entry.calledAt = startedAt
    try {
      return await entry.check(signal)
    } finally {
      if (entry.calledAt === startedAt) entry.calledAt = undefined
    }
  }

  #keep(entry: Entry, problem: string | undefined, durationMs: number): CheckResult {
    const previous = entry.last?.status
    const { status, output } = this.#damp(entry, problem)
    const result: CheckResult = {
      status,
      time: Date.now(),
      durationMs,
      ...(output === undefined ? undefined : { output }),
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

/** Nobody has asked it before, and it is given longer than an answer may take. */
function notYet({ soft, timeoutMs }: Entry): CheckResult {
  const output = `no answer yet, of ${timeoutMs} ms that it may take`
  return { status: soft ? 'warn' : 'fail', output, time: Date.now(), durationMs: 0 }
}

/** How often two neighbours differ. */
function turnsIn(results: number): number {
  let turns = 0
  for (let bits = (results ^ (results >> 1)) & ((1 << (flapWindow - 1)) - 1); bits > 0; bits &= bits - 1)
    turns++
  return turns
}

/** The worst of several statuses; none is a pass. */
export function worst(statuses: readonly CheckStatus[]): CheckStatus {
  if (statuses.includes('fail')) return 'fail'
  return statuses.includes('warn') ? 'warn' : 'pass'
}

const optionNames = ['probe', 'timeoutMs', 'cacheMs', 'soft', 'failAfter', 'passAfter']

function problemOf(name: unknown, check: unknown, options: CheckOptions, taken: boolean): string | undefined {
  if (typeof name !== 'string' || !validName.test(name))
    return `the name must be letters, digits, '.', '_' or '-', 64 at most, not ${describe(name)}`
  if (taken) return `there is a check '${name}' already; dispose it first, or take another name`
  if (typeof check !== 'function') return `the check '${name}' must be a function`
  if (typeof options !== 'object' || options === null) return 'the options must be an object'
  for (const key of Object.keys(options)) {
    if (!optionNames.includes(key))
      return `unknown option '${key}'; there are ${optionNames.slice(0, -1).join(', ')} and ${optionNames.at(-1)}`
  }
  const { probe, timeoutMs, cacheMs, soft } = options
  if (probe !== undefined && !(typeof probe === 'string' && Object.hasOwn(probeNames, probe)))
    return `probe must be 'livez', 'readyz' or 'startupz', not ${describe(probe)}`
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0))
    return 'timeoutMs must be a number of milliseconds above 0'
  if (cacheMs !== undefined && !(Number.isFinite(cacheMs) && cacheMs >= 0))
    return 'cacheMs must be a number of milliseconds, 0 or more'
  if (soft !== undefined && typeof soft !== 'boolean') return 'soft must be true or false'
  for (const name of ['failAfter', 'passAfter'] as const) {
    const times = options[name]
    if (times !== undefined && !(Number.isInteger(times) && times > 0))
      return `${name} must be a whole number of results, 1 or more`
  }
  return undefined
}
