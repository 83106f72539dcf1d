import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { CheckChange } from '../../types/events.js'
import type { Check, CheckOptions } from '../../types/health.js'
import type { ResolvedConfig } from '../../types/options.js'
import type { Snapshot } from '../../types/peerpulse.js'
import type { AbortGuard } from '../core/abort-guard.js'
import type { Clock } from '../core/clock.js'
import { defaults } from '../core/defaults.js'
import type { Feature } from '../core/feature.js'
import { logCheckChange } from './check-log.js'
import { Checks } from './checks.js'
import { closeProbeServer, openProbeServer, portOf } from './probe-server.js'
import { ownChecks, type ProbeFacts, Probes } from './probes.js'

/** What health asks of the pulse, and tells it. */
export interface HealthHost extends ProbeFacts {
  readonly clock: Clock
  readonly aborts: AbortGuard
}

/** Checks and the probes that ask them, on the app's port or on one of their own. */
export class Health implements Feature {
  readonly name = 'health'
  readonly #config: ResolvedConfig['probes']
  readonly #host: HealthHost
  readonly #checks: Checks
  readonly #probes: Probes | undefined
  #server: Server | undefined

  constructor(config: ResolvedConfig['probes'], host: HealthHost) {
    const { checkTimeoutMs, cacheMs } = config || defaults.probes
    this.#config = config
    this.#host = host
    const { clock, aborts, reports } = host
    const onChange = (change: CheckChange) => {
      reports.log((logger) => logCheckChange(logger, change))
      reports.emit('check:change', change)
    }
    this.#checks = new Checks({ clock, aborts, onChange, timeoutMs: checkTimeoutMs, cacheMs })
    this.#probes = config ? new Probes(config, this.#checks, host) : undefined
  }

  addCheck(name: string, check: Check, options: CheckOptions): Disposable {
    return this.#checks.add(name, check, options, ownChecks)
  }

  /** Answers a request on the app's port. `true`: it was a probe. */
  answer(req: IncomingMessage, res: ServerResponse): boolean {
    return this.#probes !== undefined && this.#server === undefined && this.#probes.handle(req, res)
  }

  /** Opens `probes.port`, once, where there is one. */
  open(): void {
    if (
      !this.#config ||
      this.#config.port === false ||
      this.#probes === undefined ||
      this.#server !== undefined
    )
      return
    const { port } = this.#config
    this.#server = openProbeServer(this.#probes, port, (error) => {
      const message = `probes.port ${port}: ${error.message}; no probe is answered`
      this.#host.reports.warn('PEERPULSE_WARN_PROBES_PORT', message, error)
    })
  }

  snapshot(into: Snapshot): void {
    into.probesPort = portOf(this.#server)
  }

  async stop(): Promise<void> {
    this.#checks.abandon()
    if (this.#server !== undefined) await closeProbeServer(this.#server)
  }
}
