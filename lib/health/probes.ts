import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CheckResult, CheckStatus, Probe, ProbeAnswer } from '../../types/health.js'
import { yesOrNo } from '../core/callbacks.js'
import type { Clock } from '../core/clock.js'
import { peerText } from '../core/peer-text.js'
import type { Reports } from '../core/reports/reports.js'
import type { Vitals } from '../core/vitals.js'
import { type Checks, worst } from './checks.js'
import { LoadReadiness, type LoadReadinessConfig } from './load-readiness.js'
import { isFromLoopback } from './loopback.js'

interface ProbesConfig {
  livez: string | false
  readyz: string | false
  startupz: string | false
  details: 'loopback' | boolean | ((req: IncomingMessage) => boolean)
  pressure: LoadReadinessConfig | false
}

/** What the probes ask the pulse. */
export interface ProbeFacts {
  listening(): boolean
  readonly vitals: Vitals
  readonly clock: Pick<Clock, 'now' | 'realNow'>
  /** Nobody is to be kept away for load. */
  readonly dryRun: boolean
  readonly reports: Reports
}

/** Names of our own parts of an answer; the app's checks cannot take them. */
export const ownChecks = ['drain', 'startup', 'pressure', 'listening'] as const

const probes = ['livez', 'readyz', 'startupz'] as const

interface Asked {
  readonly probe: Probe
  /** `/readyz/<check>`. */
  readonly only: string | undefined
  readonly query: URLSearchParams
}

/** Answers `/livez`, `/readyz` and `/startupz`, with `?verbose`, `?exclude=name` and `/readyz/<check>` as the Kubernetes API server does. */
export class Probes {
  readonly #config: ProbesConfig
  readonly #checks: Checks
  readonly #facts: ProbeFacts
  readonly #load: LoadReadiness
  #started = false

  constructor(config: ProbesConfig, checks: Checks, facts: ProbeFacts) {
    this.#config = config
    this.#checks = checks
    this.#facts = facts
    this.#load = new LoadReadiness(facts.dryRun ? false : config.pressure)
  }

  /** `true`: it was a probe, and is being answered. */
  handle(req: IncomingMessage, res: ServerResponse): boolean {
    if (req.method !== 'GET' && req.method !== 'HEAD') return false
    const asked = this.#parse(req.url ?? '')
    if (asked === undefined) return false
    this.#answer(asked).then(
      (answer) => this.#send(req, res, asked, answer),
      (error) => res.destroy(error as Error),
    )
    return true
  }

  /** One probe's path may begin with another's: the longest that fits is meant. */
  #parse(url: string): Asked | undefined {
    let asked: Asked | undefined
    let longest = 0
    for (const probe of probes) {
      const path = this.#config[probe]
      if (path === false || !url.startsWith(path) || path.length < longest) continue
      const rest = url.slice(path.length)
      if (rest !== '' && rest[0] !== '?' && rest[0] !== '/') continue
      longest = path.length
      const [name = '', query = ''] = rest.split('?', 2)
      asked = { probe, only: name.length > 1 ? name.slice(1) : undefined, query: new URLSearchParams(query) }
    }
    return asked
  }

  async #answer({ probe, only, query }: Asked): Promise<ProbeAnswer | undefined> {
    const excluded = new Set(query.getAll('exclude'))
    const select = (name: string) => (only === undefined ? !excluded.has(name) : name === only)
    const asked =
      probe === 'startupz'
        ? this.#startup(select)
        : this.#checks.answer(probe, select).then(({ checks }) => checks)
    // Readiness asks the startup checks too: side by side, or the answer takes two time limits.
    const [own, checks] = await Promise.all([this.#ownChecks(probe, select), asked])
    const all = { ...own, ...checks }
    if (only !== undefined && Object.keys(all).length === 0) return undefined
    return { status: worst(Object.values(all).map(({ status }) => status)), checks: all }
  }

  async #ownChecks(probe: Probe, select: (name: string) => boolean): Promise<Record<string, CheckResult>> {
    const own: Record<string, CheckResult> = {}
    const put = (name: string, status: CheckStatus, output: string) => {
      own[name] = { status, time: Date.now(), durationMs: 0, ...(status === 'pass' ? undefined : { output }) }
    }
    // Liveness never fails for load, drain or a dependency: it has no checks of our own.
    if (probe === 'startupz' && select('listening')) {
      put(
        'listening',
        this.#started || this.#facts.listening() ? 'pass' : 'fail',
        'an attached server does not listen yet, or none is attached',
      )
    }
    if (probe === 'readyz') {
      const { vitals, clock } = this.#facts
      if (select('startup')) {
        const asked = this.#started ? {} : await this.#startup(() => true)
        const missing = Object.keys(asked).filter((name) => asked[name]?.status === 'fail')
        if (!this.#facts.listening()) missing.unshift('listening')
        put('startup', this.#started ? 'pass' : 'fail', `not passed yet: ${missing.join(', ')}`)
      }
      if (select('drain')) put('drain', vitals.draining ? 'fail' : 'pass', 'the server is shutting down')
      if (select('pressure')) {
        const { status, output } = this.#load.judge(
          vitals.level,
          clock.now - vitals.levelSince,
          clock.realNow(),
          vitals.refuses,
        )
        const { monitor, pressure } = vitals
        // Of those that act, none reads more than 0.
        const cause = pressure === 0 ? '' : `; ${monitor} at ${Math.round(pressure * 100)} %`
        put('pressure', status, output + cause)
      }
    }
    return own
  }

  /** Asks the startup checks, all of them, until they have passed once; from then on they pass, whatever is added. */
  async #startup(select: (name: string) => boolean): Promise<Record<string, CheckResult>> {
    if (this.#started) {
      const passed: CheckResult = { status: 'pass', time: Date.now(), durationMs: 0 }
      return Object.fromEntries(
        this.#checks
          .names('startupz')
          .filter(select)
          .map((name) => [name, passed]),
      )
    }
    const { status, checks } = await this.#checks.answer('startupz', () => true)
    this.#started ||= status !== 'fail' && this.#facts.listening()
    return Object.fromEntries(Object.entries(checks).filter(([name]) => select(name)))
  }

  #send(req: IncomingMessage, res: ServerResponse, asked: Asked, answer: ProbeAnswer | undefined): void {
    if (res.headersSent || res.destroyed) return
    const code = answer === undefined ? 404 : answer.status === 'fail' ? 503 : 200
    const mayKnow = this.#mayKnow(req)
    const verbose = mayKnow && asked.query.has('verbose')
    const body = mayKnow
      ? detailed(answer, asked, verbose)
      : JSON.stringify({ status: answer?.status ?? 'fail' })
    res.writeHead(code, {
      'Content-Type': verbose ? 'text/plain; charset=utf-8' : 'application/health+json; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
    })
    res.end(req.method === 'HEAD' ? undefined : body)
  }

  #mayKnow(req: IncomingMessage): boolean {
    const { details } = this.#config
    if (typeof details === 'boolean') return details
    if (details === 'loopback') return isFromLoopback(req)
    return yesOrNo(details, (error) => this.#facts.reports.callbackFailed('probes.details', error))(req)
  }
}

function detailed(answer: ProbeAnswer | undefined, { probe, only }: Asked, verbose: boolean): string {
  if (answer === undefined)
    return verbose
      ? `no check '${peerText(only ?? '')}' in ${probe}\n`
      : JSON.stringify({ status: 'fail', output: `no such check in ${probe}` })
  if (!verbose) {
    const checks = Object.fromEntries(
      Object.entries(answer.checks).map(([name, { status, output, time, durationMs }]) => [
        name,
        [
          {
            status,
            time: new Date(time).toISOString(),
            durationMs,
            ...(output === undefined ? undefined : { output }),
          },
        ],
      ]),
    )
    return JSON.stringify({ status: answer.status, checks })
  }
  const mark = { pass: '[+]', warn: '[!]', fail: '[-]' } as const
  const word = { pass: 'ok', warn: 'warning', fail: 'failed' } as const
  const lines = Object.entries(answer.checks).map(
    ([name, { status, output }]) =>
      `${mark[status]}${name} ${word[status]}${output === undefined ? '' : `: ${output}`}`,
  )
  return `${[...lines, `${probe} check ${answer.status === 'fail' ? 'failed' : 'passed'}`].join('\n')}\n`
}
