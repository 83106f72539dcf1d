import { EventEmitter } from 'node:events'
import { constants } from 'node:os'
import { loadTerminus, type RunOnSignals } from './terminus-loader.js'

/** A pulse that takes part in the shutdown of the process. */
export interface ShutdownParticipant {
  readonly signals: readonly NodeJS.Signals[]
  /** `why`: a signal's name, or the origin of an error that nobody caught. */
  beforeShutdown(why: string): Promise<void>
  drain(why: string): Promise<void>
  onSignal(): Promise<void>
  onShutdown(): Promise<void>
}

const participants = new Set<ShutdownParticipant>()
/** Listeners on `process` that are ours or terminus', to be taken off again: terminus itself cannot be undone. */
let installed: { signal: NodeJS.Signals; listener: (signal: NodeJS.Signals) => void }[] = []
let received: NodeJS.Signals | undefined
let createTerminus: RunOnSignals | undefined

/** Takes part until the result is called. Loads terminus when first asked. */
export function joinShutdown(participant: ShutdownParticipant): () => void {
  participants.add(participant)
  install()
  return () => {
    participants.delete(participant)
    if (received === undefined) install()
  }
}

/** The same sequence without a signal and without an exit. The first signal meanwhile changes nothing, a second one exits at once. */
export async function shutDownEveryone(why: string): Promise<void> {
  if (received !== undefined) return new Promise(() => {})
  const signals = new Set(installed.map(({ signal }) => signal))
  for (const { signal, listener } of installed) process.removeListener(signal, listener)
  for (const signal of signals) process.on(signal, onSignal)
  await everyone((participant) => participant.beforeShutdown(why))
  await everyone((participant) => participant.drain(why))
  await everyone((participant) => participant.onSignal())
  await everyone((participant) => participant.onShutdown())
}

/**
 * terminus runs the sequence on one facade per process, whatever number of servers there is. Given a real server it
 * would put `stoppable` on it, which ends WebSockets within milliseconds, and keep its answers in module globals.
 */
function install(): void {
  for (const { signal, listener } of installed) process.removeListener(signal, listener)
  installed = []
  const signals = [...new Set([...participants].flatMap((participant) => participant.signals))]
  if (signals.length === 0) return
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
    beforeShutdown: () => everyone((participant) => participant.beforeShutdown(received as NodeJS.Signals)),
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
    everyone((participant) => participant.drain(received as NodeJS.Signals)).then(() => done(), done)
  }
  return Object.assign(new EventEmitter(), { close })
}

async function everyone(run: (participant: ShutdownParticipant) => Promise<void>): Promise<void> {
  await Promise.all([...participants].map(run))
}

/** Notes the first signal, since terminus tells nobody which it was; a second one means that somebody is waiting. */
function onSignal(signal: NodeJS.Signals): void {
  if (received !== undefined) process.exit(128 + constants.signals[signal])
  received = signal
}

function listen(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): void {
  process.on(signal, listener)
  installed.push({ signal, listener })
}
