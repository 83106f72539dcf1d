import * as v from 'valibot'
import type { PeerpulseOptions, ResolvedConfig, ResolvedPressure } from '../../types/options.js'
import { contradictions } from './config-contradictions.js'
import {
  actionsSection,
  loadReadinessSection,
  memorySection,
  monitorProblems,
  sections,
} from './config-schema.js'
import { meantAsSeconds } from './config-seconds.js'
import { defaults, pingShareOfIdleTimeout, sectionDefaults } from './defaults.js'
import { describe, isPlainObject } from './describe.js'
import { ConfigError } from './errors.js'
import { nearestName } from './nearest-name.js'

type SectionName = keyof typeof sections
const topLevelNames = [...Object.keys(sections), 'log', 'dryRun']

/** Finds what is wrong with `value` by `schema`, as `path: message`. */
function problemsOf(schema: v.GenericSchema & { entries: object }, value: unknown, at: string): string[] {
  if (!isPlainObject(value))
    return [`${at}: must be an object, or false to switch it off, not ${describe(value)}`]
  const problems = (v.safeParse(schema, value).issues ?? []).map((issue) => {
    const here = [at, ...(issue.path ?? []).map((item) => String(item.key))].join('.')
    // Its key is missing.
    if (issue.type === 'object') return `${here}: is required`
    return `${here}: ${issue.message}, not ${describe(issue.input)}`
  })
  const known = Object.keys(schema.entries)
  // The validator would tell of the first alone.
  const unknown = Object.keys(value).filter((name) => !known.includes(name) && value[name] !== undefined)
  return [...problems, ...unknown.map((name) => unknownOption(`${at}.${name}`, name, known))]
}

/** Most who miss a section meant an option inside one. */
function unknownSection(name: string): string {
  const home = Object.entries(sections).find(([, schema]) => Object.hasOwn(schema.entries, name))
  if (home !== undefined) return `${name}: unknown option, did you mean ${home[0]}.${name}?`
  return unknownOption(name, name, topLevelNames)
}

function unknownOption(here: string, name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known)
  const fix =
    nearest === undefined
      ? `the options here are ${known.join(', ')}`
      : `did you mean ${here.slice(0, here.length - name.length)}${nearest}?`
  return `${here}: unknown option, ${fix}`
}

/** Defaults below what was given; a key given as `undefined` counts as not given. */
function overlay(base: object, given: object): object {
  return { ...base, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) }
}

function checkShapes(options: Record<string, unknown>): string[] {
  const problems: string[] = []
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || (value === false && topLevelNames.includes(name))) continue
    if (Object.hasOwn(sections, name))
      problems.push(...problemsOf(sections[name as SectionName], value, name))
    else if (name === 'log') problems.push(...checkLogger(value))
    else if (name === 'dryRun')
      problems.push(...(value === true ? [] : [`dryRun: must be true or false, not ${describe(value)}`]))
    else problems.push(unknownSection(name))
  }
  const { memory, actions, monitors } = isPlainObject(options.pressure) ? options.pressure : {}
  if (Array.isArray(monitors)) problems.push(...monitorProblems(monitors))
  if (isPlainObject(memory)) problems.push(...problemsOf(memorySection, memory, 'pressure.memory'))
  if (isPlainObject(actions)) problems.push(...problemsOf(actionsSection, actions, 'pressure.actions'))
  const { pressure } = isPlainObject(options.probes) ? options.probes : {}
  if (isPlainObject(pressure)) problems.push(...problemsOf(loadReadinessSection, pressure, 'probes.pressure'))
  return problems
}

function checkLogger(log: unknown): string[] {
  if (log === true) return ['log: must be false, or a logger, as pino() or console; not true']
  const missing = ['info', 'warn', 'error'].filter(
    (level) => typeof (log as Record<string, unknown> | null)?.[level] !== 'function',
  )
  return missing.length === 0
    ? []
    : [
        `log: must be false, or a logger with info, warn and error as pino has; missing here: ${missing.join(', ')}`,
      ]
}

/** The drain's durations, fitted to an orchestrator's grace period; a twelfth of it is kept for the exit itself. */
function fitToGrace(graceMs: number): {
  readinessDelayMs: number
  spreadMs: number
  closeTimeoutMs: number
  deadlineMs: number
} {
  const deadlineMs = Math.max(1, Math.floor(graceMs - Math.max(graceMs / 12, Math.min(1_000, graceMs / 4))))
  const scale = Math.min(1, deadlineMs / defaults.drain.deadlineMs)
  return {
    readinessDelayMs: Math.floor(defaults.drain.readinessDelayMs * scale),
    spreadMs: Math.floor(defaults.drain.spreadMs * scale),
    closeTimeoutMs: Math.max(1, Math.floor(defaults.drain.closeTimeoutMs * scale)),
    deadlineMs,
  }
}

function applyDefaults(options: PeerpulseOptions): ResolvedConfig {
  const section = (name: SectionName): unknown => {
    const given = options[name]
    if (given === false || (given === undefined && defaults[name] === false)) return false
    const base = {
      ...(defaults[name] || undefined),
      ...(name === 'lifetime' ? sectionDefaults.lifetime : undefined),
    }
    return overlay(base, given ?? {})
  }
  const resolved = Object.fromEntries(
    (Object.keys(sections) as SectionName[]).map((name) => [name, section(name)]),
  )
  const config = {
    ...resolved,
    log: options.log ?? defaults.log,
    dryRun: options.dryRun ?? defaults.dryRun,
  } as {
    -readonly [K in keyof ResolvedConfig]: ResolvedConfig[K]
  }
  if (config.pressure && config.pressure.memory) {
    config.pressure = {
      ...config.pressure,
      memory: overlay(defaults.pressure.memory, config.pressure.memory) as { limitBytes: number | 'auto' },
    }
  }
  if (config.pressure) {
    const { actions } = options.pressure || {}
    config.pressure = {
      ...config.pressure,
      actions: (actions === false
        ? Object.fromEntries(Object.keys(defaults.pressure.actions).map((name) => [name, false]))
        : overlay(defaults.pressure.actions, actions ?? {})) as ResolvedPressure['actions'],
    }
  }
  if (config.probes && config.probes.pressure) {
    const pressure = overlay(defaults.probes.pressure, config.probes.pressure)
    config.probes = { ...config.probes, pressure: pressure as { failAfterMs: number; maxOutMs: number } }
  }
  if (options.drain && options.drain.terminationGraceMs !== undefined && config.drain) {
    config.drain = { ...config.drain, ...fitToGrace(options.drain.terminationGraceMs) }
  }
  const givenInterval = options.heartbeat && options.heartbeat.intervalMs
  if (config.heartbeat && config.behind && givenInterval === undefined) {
    const intervalMs = Math.min(
      config.heartbeat.intervalMs,
      Math.max(1, Math.floor(config.behind.idleTimeoutMs * pingShareOfIdleTimeout)),
    )
    config.heartbeat = { ...config.heartbeat, intervalMs }
  }
  return config
}

function freezeDeep<T extends object>(value: T): T {
  for (const [key, inner] of Object.entries(value)) {
    // The app's logger and its monitors are the app's.
    if (key === 'monitors') Object.freeze(inner)
    else if (key !== 'log' && typeof inner === 'object' && inner !== null)
      freezeDeep(Array.isArray(inner) ? inner : (inner as object))
  }
  return Object.freeze(value)
}

/**
 * Checks the options and fills in the defaults. Throws one `ConfigError` with every problem. `checkTrust` is asked
 * whether a `limits.trustProxy` can be compiled; it throws when not.
 */
export function resolveConfig(
  options: PeerpulseOptions = {},
  checkTrust?: (trust: unknown) => void,
): ResolvedConfig {
  if (!isPlainObject(options)) throw new ConfigError([`options: must be an object, not ${describe(options)}`])
  const problems = checkShapes(options)
  const wrong = problems.map((problem) => problem.slice(0, problem.indexOf(': ')))
  const isSound = (path: string) =>
    !wrong.some((other) => other === path || other.startsWith(`${path}.`) || path.startsWith(`${other}.`))
  const sound = without(copyOf(options), wrong)
  const config = applyDefaults(sound)
  const contrary = contradictions(sound, config, isSound)
  // Seconds are a warning; beside a contradiction they are what most likely makes it.
  if (contrary.length > 0) problems.push(...contrary, ...meantAsSeconds(sound))
  if (config.limits && isSound('limits.trustProxy')) {
    try {
      checkTrust?.(config.limits.trustProxy)
    } catch (error) {
      problems.push(`limits.trustProxy: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return freezeDeep(config)
}

/** The caller's own objects and lists are neither frozen nor watched for later changes. */
function copyOf(options: PeerpulseOptions): PeerpulseOptions {
  const copy = (value: unknown): unknown => {
    if (Array.isArray(value)) return [...value]
    return isPlainObject(value) ? { ...value } : value
  }
  const section = (value: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, copy(inner)]))
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      isPlainObject(value) && name !== 'log' ? section(value) : value,
    ]),
  )
}

/** The options less what cannot be used, so that the rest of them can be judged too. */
function without(options: PeerpulseOptions, wrong: readonly string[]): PeerpulseOptions {
  for (const path of wrong) {
    let place: unknown = options
    const names = path.split('.')
    while (names.length > 1 && isPlainObject(place) && isPlainObject(place[names[0] ?? '']))
      place = place[names.shift() ?? '']
    if (isPlainObject(place)) delete place[names[0] ?? '']
  }
  return options
}
