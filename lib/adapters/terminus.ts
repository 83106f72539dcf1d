import { EventEmitter } from 'node:events'
import { constants } from 'node:os'
import { listenToParent } from './parent.js'
import { loadTerminus, type RunOnSignals } from './terminus-loader.js'

/** A pulse that takes part in the shutdown of the process. */
export interface ShutdownParticipant {
  readonly signals: readonly NodeJS.Signals[]
  /** When all of it is to be over. */
  readonly deadlineMs: number
  /** Monotonic milliseconds. */
  now(): number
  /** A timer that nothing of the pulse can hold up. */
  lastResort(ms: number, run: () => void): void
  /** `why`: a signal's name, or what else began it. */
  beforeShutdown(why: string): Promise<void>
  drain(why: string): Promise<void>
  onSignal(): Promise<void>
  onShutdown(): Promise<void>
  failed(error: unknown): void
  /** The process exits now, whatever still runs. */
  overdue(): void
}

/** npm, terminals and systemd deliver one stop twice, by the same signal or by two, within milliseconds. */
const sameStopMs = 1_000
/** A shutdown that has not ended so long after its deadline is ended from outside. */
const overdueMs = 1_000

const participants = new Set<ShutdownParticipant>()
/** Listeners on `process` that are ours or terminus', to be taken off again: terminus itself cannot be undone. */
let installed: { signal: NodeJS.Signals; listener: (signal: NodeJS.Signals) => void }[] = []
let leaveParent: (() => void) | undefined
/** Nobody leaves a shutdown that runs: its hooks close databases. */
let isRunning = false
/** Who asked the process to stop, and when. An error that nobody caught is no such wish. */
let stop: { readonly why: string; at: number; readonly bySignal: boolean } | undefined
let createTerminus: RunOnSignals | undefined

/** Takes part until the result is called. Loads terminus when first asked. */
export function joinShutdown(participant: ShutdownParticipant): () => void {
  participants.add(participant)
  if (!isRunning) install()
  return () => {
    if (isRunning) return
    participants.delete(participant)
    install()
  }
}

/** Whether a listener on `process` belongs to the shutdown of some pulse. */
export function isOurListener(listener: unknown): boolean {
  return listener === onSignal || installed.some((ours) => ours.listener === listener)
}

/** The same sequence without a signal and without an exit. Where one runs already, that one ends the process. */
export async function shutDownEveryone(why: string): Promise<void> {
  if (isRunning) return new Promise(() => {})
  begin()
  const signals = new Set(installed.map(({ signal }) => signal))
  for (const { signal, listener } of installed) process.removeListener(signal, listener)
  for (const signal of signals) process.on(signal, onSignal)
  await everyone((participant) => participant.beforeShutdown(why))
  await everyone((participant) => participant.drain(why))
  await everyone((participant) => participant.onSignal())
  await everyone((participant) => participant.onShutdown())
}

/** A stop that came by other ways than a signal. Said again, it is the same one. */
export function stopEveryone(why: string): void {
  if (stop !== undefined) return
  note(why, false)
  shutDownEveryone(why).finally(() => process.exit(0))
}

/**
 * terminus runs the sequence on one facade per process, whatever number of servers there is. Given a real server it
 * would put `stoppable` on it, which ends WebSockets within milliseconds, and keep its answers in module globals.
 */
function install(): void {
  for (const { signal, listener } of installed) process.removeListener(signal, listener)
  installed = []
  leaveParent?.()
  leaveParent = undefined
  const signals = [...new Set([...participants].flatMap((participant) => participant.signals))]
  if (signals.length === 0) return
  leaveParent = listenToParent(stopEveryone)
  for (const signal of signals) listen(signal, onSignal)
  const before = new Map(signals.map((signal) => [signal, new Set(process.listeners(signal))]))
  createTerminus ??= loadTerminus()
  createTerminus(facade(), {
    signal: signals[0] as string,
    signals: [...signals],
    // As PID 1 a re-sent signal is ignored by the kernel, and the process would live on.
    useExit0: true,
    // stoppable's own deadline: it has no sockets here.
    timeout: 1,
    beforeShutdown: () => everyone((participant) => participant.beforeShutdown(stop?.why as string)),
    onSignal: () => everyone((participant) => participant.onSignal()),
    onShutdown: () => everyone((participant) => participant.onShutdown()),
  })
  for (const signal of signals) {
    for (const listener of process.listeners(signal)) {
      if (!before.get(signal)?.has(listener))
        installed.push({ signal, listener: listener as (signal: NodeJS.Signals) => void })
    }
  }
}

/** What terminus takes for a server: closing it is waiting for everybody's drain. */
function facade(): EventEmitter & { close(done: (error?: Error) => void): void } {
  const close = (done: (error?: Error) => void): void => {
    everyone((participant) => participant.drain(stop?.why as string)).then(() => done(), done)
  }
  return Object.assign(new EventEmitter(), { close })
}

/** What fails for one pulse is not to keep the others from theirs. */
async function everyone(run: (participant: ShutdownParticipant) => Promise<void>): Promise<void> {
  const guarded = async (participant: ShutdownParticipant): Promise<void> => {
    try {
      await run(participant)
    } catch (error) {
      participant.failed(error)
    }
  }
  await Promise.all([...participants].map(guarded))
}

/**
 * Notes the first signal, since terminus tells nobody which it was. A later one means that somebody has had enough; the
 * first one behind another kind of stop does not: a worker that its primary retires is told of the service's stop too.
 */
function onSignal(signal: NodeJS.Signals): void {
  if (stop?.bySignal !== true) {
    note(signal, true)
    if (!isRunning) begin()
  } else if (now() - stop.at >= sameStopMs) process.exit(128 + constants.signals[signal])
}

function note(why: string, bySignal: boolean): void {
  const noted = { why, at: now(), bySignal }
  stop = noted
  // What listeners do at once may take long, and the second half of the stop waits meanwhile.
  setImmediate(() => {
    noted.at = now()
  })
}

/** terminus sets no limit to what it awaits, and what bounds our own parts may fail with them. */
function begin(): void {
  isRunning = true
  const [first] = participants
  const ms = Math.max(...[...participants].map(({ deadlineMs }) => deadlineMs)) + overdueMs
  first?.lastResort(ms, () => {
    for (const participant of participants) participant.overdue()
    process.exit(0)
  })
}

function now(): number {
  const [first] = participants
  return first?.now() ?? 0
}

function listen(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): void {
  process.on(signal, listener)
  installed.push({ signal, listener })
}
