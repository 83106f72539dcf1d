import type { ResolvedConfig } from '../../types/options.js'
import { defaults } from '../core/defaults.js'
import type { Endings } from '../core/endings.js'
import type { Policy } from '../core/policy.js'
import type { Vitals } from '../core/vitals.js'
import { createHeartbeat } from './heartbeat.js'
import { createIdle } from './idle.js'
import { createLifetime } from './lifetime.js'
import { createHandshakeDeadline } from './limits.js'

/** The policies that look at one connection at a time, as the configuration asks for them. */
export function createConnectionPolicies(
  config: ResolvedConfig,
  endings: Endings,
  vitals: Vitals,
  onOtherHeartbeat: () => void,
): Policy[] {
  const { limits, heartbeat, idle, lifetime } = config
  const policies: Policy[] = []
  if (limits && limits.handshakeTimeoutMs !== false) {
    policies.push(createHandshakeDeadline(limits.handshakeTimeoutMs, endings))
  }
  if (heartbeat) policies.push(createHeartbeat(heartbeat, endings, vitals, onOtherHeartbeat))
  // After the heartbeat: who is dead is not idle. And without the section too: a connection may have a timeout of its own.
  policies.push(createIdle(idle || defaults.idle, endings, vitals))
  if (lifetime) policies.push(createLifetime(lifetime, endings))
  return policies
}
