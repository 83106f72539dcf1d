import { constants } from 'node:os'
import * as v from 'valibot'

/** The shapes of the options, section by section; every message says what would be right. */

const number = (least: number, what: string) =>
  v.pipe(v.number(`must be ${what}`), v.finite(`must be ${what}`), v.minValue(least, `must be ${what}`))
const orFalse = (least: number, what: string) =>
  v.union([number(least, what), v.literal(false)], `must be ${what}, or false`)

const positiveMs = 'a number of milliseconds above 0'
const anyMs = 'a number of milliseconds, 0 or more'
const ms = () => v.optional(number(1, positiveMs))
const msOrZero = () => v.optional(number(0, anyMs))
const msOrFalse = () => v.optional(orFalse(1, positiveMs))
const bytes = () => v.optional(number(1, 'a number of bytes above 0'))
const bytesOrAuto = () =>
  v.optional(v.union([number(1, ''), v.literal('auto')], "must be a number of bytes above 0, or 'auto'"))
const flag = () => v.optional(v.boolean('must be true or false'))
const callback = <T>(what: string) =>
  v.optional(v.custom<T>((value) => typeof value === 'function', `must be ${what}`))
const path = () =>
  v.optional(
    v.pipe(
      v.string("must be a path, as '/livez'"),
      v.regex(/^\/[^\s?#]+$/, "must be a path, as '/livez', without query"),
    ),
  )
const wholeCount = 'a whole number above 0'
const wholeNumber = () =>
  v.pipe(
    v.number(`must be ${wholeCount}`),
    v.integer(`must be ${wholeCount}`),
    v.minValue(1, `must be ${wholeCount}`),
  )
const count = () => v.optional(wholeNumber())
const countOrFalse = () =>
  v.optional(v.union([wholeNumber(), v.literal(false)], `must be ${wholeCount}, or false`))
const part = () => v.pipe(v.number(), v.gtValue(0), v.maxValue(1))
const parts = (example: string) =>
  v.optional(
    v.strictTuple(
      [part(), part()],
      `must be two numbers above 0 and at most 1: elevated and critical, as ${example}`,
    ),
  )

const uncatchable = new Set(['SIGKILL', 'SIGSTOP'])
const catchableSignal = (value: unknown) =>
  typeof value === 'string' && Object.hasOwn(constants.signals, value) && !uncatchable.has(value)

export const sections = {
  heartbeat: v.strictObject({ intervalMs: ms(), timeoutMs: ms(), tcpKeepAliveMs: msOrFalse() }),
  idle: v.strictObject({
    websocketMs: msOrFalse(),
    sseMs: msOrFalse(),
    upgradedMs: msOrFalse(),
    inboundMs: msOrFalse(),
  }),
  lifetime: v.strictObject({
    maxAgeMs: number(1, positiveMs),
    jitter: v.optional(
      v.pipe(number(0, 'a number from 0 to 1'), v.maxValue(1, 'must be a number from 0 to 1')),
    ),
  }),
  budget: v.strictObject({
    perConnectionBytes: bytes(),
    highWaterBytes: bytes(),
    lowWaterBytes: bytes(),
    stalledMs: ms(),
    totalBytes: bytesOrAuto(),
  }),
  pressure: v.strictObject({
    memory: v.optional(
      v.union([v.literal(false), v.looseObject({})], 'must be false, or an object with limitBytes'),
    ),
    enter: parts('[0.8, 0.92]'),
    leave: parts('[0.7, 0.85]'),
    dwellMs: msOrZero(),
    warmUpMs: msOrZero(),
    eventLoop: flag(),
    priority: callback('a function of the request that returns a number'),
  }),
  limits: v.strictObject({
    maxConnections: countOrFalse(),
    maxPerPeer: countOrFalse(),
    handshakeTimeoutMs: msOrFalse(),
    trustProxy: v.optional(
      v.union(
        [
          v.boolean(),
          number(0, ''),
          v.string(),
          v.array(v.string()),
          v.custom<() => boolean>((f) => typeof f === 'function'),
        ],
        'must be true, false, a number of hops, addresses, or a function',
      ),
    ),
  }),
  drain: v.strictObject({
    signals: v.optional(
      v.array(
        v.custom<NodeJS.Signals>(catchableSignal, 'must be a signal that can be caught'),
        "must be a list of signals, as ['SIGTERM']",
      ),
    ),
    readinessDelayMs: msOrZero(),
    spreadMs: msOrZero(),
    closeTimeoutMs: ms(),
    deadlineMs: ms(),
    terminationGraceMs: ms(),
    restart: flag(),
    beforeShutdown: callback('a function'),
    onSignal: callback('a function'),
    onShutdown: callback('a function'),
    hookTimeoutMs: ms(),
  }),
  probes: v.strictObject({
    livez: path(),
    readyz: path(),
    startupz: path(),
    port: v.optional(
      v.union(
        [v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535)), v.literal(false)],
        'must be a port number, or false',
      ),
    ),
    checkTimeoutMs: ms(),
    cacheMs: msOrZero(),
    details: v.optional(
      v.union(
        [v.literal('loopback'), v.boolean(), v.custom<() => boolean>((f) => typeof f === 'function')],
        "must be 'loopback', true, false, or a function of the request",
      ),
    ),
  }),
  behind: v.strictObject({ idleTimeoutMs: number(1, positiveMs) }),
  history: v.strictObject({ maxCloses: count(), maxPeers: count() }),
}
/** `pressure.memory`, when it is not `false`. */
export const memorySection = v.strictObject({ limitBytes: bytesOrAuto() })
