import { constants } from 'node:os'
import * as v from 'valibot'
import { describe, isPlainObject } from './describe.js'

/** An option that may be left out; `is` decides, and the message says what it must be. */
const must = (is: (value: unknown) => boolean, what: string) => v.optional(needed(is, what))
const needed = (is: (value: unknown) => boolean, what: string) => v.custom<unknown>(is, `must be ${what}`)

const isNumber = (value: unknown, least: number): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= least
const isFunction = (value: unknown) => typeof value === 'function'
const isFlag = (value: unknown) => typeof value === 'boolean'
const isCount = (value: unknown) => Number.isInteger(value) && (value as number) > 0
const isPart = (value: unknown) => isNumber(value, Number.MIN_VALUE) && value <= 1
const isParts = (value: unknown) => Array.isArray(value) && value.length === 2 && value.every(isPart)
const isStrings = (value: unknown) => Array.isArray(value) && value.every((item) => typeof item === 'string')
const uncatchable: ReadonlySet<unknown> = new Set(['SIGKILL', 'SIGSTOP'])
const isSignal = (value: unknown) =>
  typeof value === 'string' && Object.hasOwn(constants.signals, value) && !uncatchable.has(value)
const isTrust = (value: unknown) =>
  isFlag(value) ||
  isCount(value) ||
  value === 0 ||
  typeof value === 'string' ||
  isStrings(value) ||
  isFunction(value)

const positiveMs = 'a number of milliseconds above 0'
const isPositive = (value: unknown) => isNumber(value, Number.MIN_VALUE)
const ms = () => must(isPositive, positiveMs)
const msOrZero = () => must((value) => isNumber(value, 0), 'a number of milliseconds, 0 or more')
const msOrFalse = () => must((value) => value === false || isPositive(value), `${positiveMs}, or false`)
const bytes = () => must(isPositive, 'a number of bytes above 0')
const bytesOrAuto = () =>
  must((value) => value === 'auto' || isPositive(value), "a number of bytes above 0, or 'auto'")
const countOrFalse = () =>
  must((value) => value === false || isCount(value), 'a whole number above 0, or false')
const flag = () => must(isFlag, 'true or false')
const parts = (example: string) =>
  must(isParts, `two numbers above 0 and at most 1: elevated and critical, as ${example}`)
const path = () =>
  must(
    (value) => value === false || (typeof value === 'string' && /^\/[^\s?#]+$/.test(value)),
    "a path, as '/livez', without query, or false",
  )
/** Each has memory of its own: a million closes are about a gigabyte. */
const mostKept = 1_000_000
const bound = () =>
  must((value) => isCount(value) && (value as number) <= mostKept, `a whole number from 1 to ${mostKept}`)

/** The shapes of the options, section by section. */
export const sections = {
  heartbeat: v.object({ intervalMs: ms(), timeoutMs: ms(), tcpKeepAliveMs: msOrFalse() }),
  idle: v.object({
    websocketMs: msOrFalse(),
    sseMs: msOrFalse(),
    upgradedMs: msOrFalse(),
    inboundMs: msOrFalse(),
  }),
  lifetime: v.object({
    maxAgeMs: needed(isPositive, positiveMs),
    jitter: must((value) => isNumber(value, 0) && value <= 1, 'a number from 0 to 1'),
  }),
  budget: v.object({
    perConnectionBytes: bytes(),
    highWaterBytes: bytes(),
    lowWaterBytes: bytes(),
    stalledMs: ms(),
    totalBytes: bytesOrAuto(),
  }),
  pressure: v.object({
    memory: must((value) => value === false || isPlainObject(value), 'false, or an object with limitBytes'),
    enter: parts('[0.8, 0.92]'),
    leave: parts('[0.7, 0.85]'),
    dwellMs: msOrZero(),
    warmUpMs: msOrZero(),
    eventLoop: flag(),
    monitors: must(Array.isArray, 'a list of monitors, each with a name of its own and a read()'),
    actions: must((value) => value === false || isPlainObject(value), 'false, or an object with thresholds'),
    priority: must(isFunction, 'a function of the request that returns a number'),
  }),
  limits: v.object({
    maxConnections: countOrFalse(),
    maxPerPeer: countOrFalse(),
    ipv6PrefixBits: must(
      (value) => isCount(value) && (value as number) <= 128,
      'a whole number from 1 to 128',
    ),
    handshakeTimeoutMs: msOrFalse(),
    trustProxy: must(isTrust, 'true, false, a number of hops, addresses, or a function'),
  }),
  drain: v.object({
    signals: v.optional(
      v.array(needed(isSignal, 'a signal that can be caught'), "must be a list of signals, as ['SIGTERM']"),
    ),
    readinessDelayMs: msOrZero(),
    spreadMs: msOrZero(),
    closeTimeoutMs: ms(),
    deadlineMs: ms(),
    terminationGraceMs: ms(),
    restart: flag(),
    uncaught: flag(),
    beforeShutdown: must(isFunction, 'a function'),
    onSignal: must(isFunction, 'a function'),
    onShutdown: must(isFunction, 'a function'),
    hookTimeoutMs: ms(),
  }),
  probes: v.object({
    livez: path(),
    readyz: path(),
    startupz: path(),
    port: must(
      (value) => value === false || (Number.isInteger(value) && isNumber(value, 0) && value <= 65_535),
      'a port number, or false',
    ),
    checkTimeoutMs: ms(),
    cacheMs: msOrZero(),
    pressure: must(
      (value) => value === false || isPlainObject(value),
      'false, or an object with failAfterMs and maxOutMs',
    ),
    details: must(
      (value) => value === 'loopback' || isFlag(value) || isFunction(value),
      "'loopback', true, false, or a function of the request",
    ),
  }),
  behind: v.object({ idleTimeoutMs: needed(isPositive, positiveMs) }),
  history: v.object({ maxCloses: bound(), maxPeers: bound() }),
}

/** `probes.pressure`, when it is not `false`. */
export const loadReadinessSection = v.object({ failAfterMs: msOrZero(), maxOutMs: ms() })

/** `pressure.memory`, when it is not `false`. */
export const memorySection = v.object({ limitBytes: bytesOrAuto() })

const threshold = () =>
  must(
    (value) => value === false || value === 'elevated' || value === 'critical' || isPart(value),
    "'elevated', 'critical', a number above 0 and at most 1, or false",
  )
/** `pressure.actions`, when it is not `false`. */
export const actionsSection = v.object({
  closeConnections: threshold(),
  shortenTimeouts: threshold(),
  refuseUpgrades: threshold(),
  refuseRequests: threshold(),
  pauseReading: threshold(),
  evict: threshold(),
})

/** The name of a monitor or a check: it stands in log lines, a metric's label, a key of the snapshot, or a URL (`/readyz/<name>`). */
export const validName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** What is wrong with the members of `pressure.monitors`, each by its place. */
export function monitorProblems(monitors: readonly unknown[]): string[] {
  const names = new Map<unknown, number>()
  return monitors.flatMap((monitor, i) => {
    const at = `pressure.monitors.${i}`
    if (typeof monitor !== 'object' || monitor === null)
      return `${at}: must be an object with a name and a read(), not ${describe(monitor)}`
    const { name, read } = monitor as { name?: unknown; read?: unknown }
    const problems: string[] = []
    if (typeof name !== 'string' || !validName.test(name))
      problems.push(`${at}.name: must be letters, digits, '.', '_' or '-', 64 at most, not ${describe(name)}`)
    else if (names.has(name))
      problems.push(`${at}.name: '${name}' is that of pressure.monitors.${names.get(name)} too`)
    else names.set(name, i)
    if (!isFunction(read)) problems.push(`${at}.read: must be a function, not ${describe(read)}`)
    return problems
  })
}
