import type { PeerConnection } from '../core/connection.js'
import { type ConnectionSink, carried } from '../core/sink.js'
import { OPEN, socketBelow, type WebSocketLike } from './ws-internals.js'

/** What a socket holds before it asks its writer to wait (Node 20). Who reads what it gets stays below, as a rule at 0. */
const backlogBytes = 16 * 1024
/** What Node writes around the chunks and at the end of a response: never a reason to look at what the app wrote before. */
const framingBytes = 16

type Method = (...args: unknown[]) => unknown
type Owner = Record<string, Method>

/** Every guard's function, so that one that was left below another is found again. */
const guards = new WeakMap<Method, WriteGuard>()

/**
 * Sees each write of a producer, for a loop in which no tick runs: one function, put as an own property on every
 * WebSocket (`send`) or socket (`write`) in place of the prototype's, that looks at the backlog *before* the write and
 * passes the call on, whatever it found.
 */
export class WriteGuard {
  readonly #name: 'send' | 'write'
  readonly #guard: Method
  readonly #descriptor: PropertyDescriptor
  /** Methods that were an object's own before ours: an app's, or another pulse's. Most have none. */
  readonly #before = new WeakMap<object, PropertyDescriptor>()
  #hasBefore = false
  /** Taken off while a stranger's function lay above ours, which still calls it. */
  readonly #left = new WeakSet<object>()
  #hasLeft = false

  constructor(name: 'send' | 'write', see: (target: object, chunk: unknown) => void) {
    this.#name = name
    const before = (target: object) => this.#beforeOn(target)
    const isLeft = (target: object) => this.#hasLeft && this.#left.has(target)
    const takeOff = (target: object) => this.takeOff(target)
    this.#guard = function (this: object, chunk) {
      if (isLeft(this)) takeOff(this)
      else see(this, chunk)
      // biome-ignore lint/complexity/noArguments: no array is made for a write
      return Reflect.apply(before(this), this, arguments as unknown as unknown[])
    }
    this.#descriptor = { value: this.#guard, configurable: true, writable: true, enumerable: false }
    guards.set(this.#guard, this)
  }

  /** What it cannot be put on, a frozen WebSocket for one, is left to the ticks. */
  put(target: object): void {
    if (typeof (target as Owner)[this.#name] !== 'function') return
    const own = Object.getOwnPropertyDescriptor(target, this.#name)
    if (own?.value === this.#guard) {
      this.#left.delete(target)
      return
    }
    if (!Reflect.defineProperty(target, this.#name, this.#descriptor)) return
    this.#left.delete(target)
    this.#lieOn(target, own)
  }

  /** Leaves it as it was. Where a stranger took the method over after us, ours stays below and passes everything on. */
  takeOff(target: object): void {
    const own = Object.getOwnPropertyDescriptor(target, this.#name)
    if (own === undefined) return
    if (own.value === this.#guard) {
      const before = this.#stayingBefore(target)
      if (before === undefined) delete (target as Partial<Owner>)[this.#name]
      else Object.defineProperty(target, this.#name, before)
      this.#before.delete(target)
      return
    }
    const above = this.#guardAbove(target, own)
    if (above !== undefined) {
      above.#lieOn(target, this.#before.get(target))
      this.#before.delete(target)
      return
    }
    this.#left.add(target)
    this.#hasLeft = true
  }

  #lieOn(target: object, before: PropertyDescriptor | undefined): void {
    if (before === undefined) this.#before.delete(target)
    else {
      this.#before.set(target, before)
      this.#hasBefore = true
    }
  }

  /** Another pulse's guard that lies right on ours. */
  #guardAbove(target: object, top: PropertyDescriptor): WriteGuard | undefined {
    let above = guards.get(top.value)
    while (above !== undefined) {
      const below = above.#before.get(target)?.value
      if (below === this.#guard) return above
      above = guards.get(below)
    }
    return undefined
  }

  /** What was there before, without those who have left since. */
  #stayingBefore(target: object): PropertyDescriptor | undefined {
    const before = this.#before.get(target)
    const below = guards.get(before?.value)
    return below !== undefined && below.#left.has(target) ? below.#stayingBefore(target) : before
  }

  #beforeOn(target: object): Method {
    const own = this.#hasBefore ? this.#before.get(target) : undefined
    if (own === undefined) return (Object.getPrototypeOf(target) as Owner)[this.#name] as Method
    return (own.value ?? own.get?.call(target)) as Method
  }
}

/** Looks at what a connection buffers; called before a write to one that has a backlog. */
export type LookAtWrite = (connection: PeerConnection) => void

/** For WebSockets. One that closes is let be: `ws` drops what is sent to it, and yet counts it as buffered. */
export function createSendGuard(sink: ConnectionSink, look: LookAtWrite): WriteGuard {
  return new WriteGuard('send', (target) => {
    const { bufferedAmount, readyState } = target as WebSocketLike
    if (bufferedAmount <= backlogBytes || readyState !== OPEN) return
    const socket = socketBelow(target)
    lookAt(sink, look, socket && carried(sink, socket))
  })
}

/** For the sockets of HTTP connections. It stands aside once the socket is a WebSocket, whose frames are not to be torn. */
export function createResponseGuard(sink: ConnectionSink, look: LookAtWrite): WriteGuard {
  return new WriteGuard('write', (target, chunk) => {
    const { writableLength } = target as { writableLength: number }
    if (writableLength <= backlogBytes || sizeOf(chunk) <= framingBytes) return
    const connection = carried(sink, target)
    if (connection?.webSocket === undefined) lookAt(sink, look, connection)
  })
}

const sizeOf = (chunk: unknown) => (chunk as { length?: number } | null | undefined)?.length ?? 0

function lookAt(sink: ConnectionSink, look: LookAtWrite, connection: PeerConnection | undefined): void {
  if (connection === undefined || connection.state === 'closing' || connection.state === 'closed') return
  // Our mistake must not become the app's: the write goes on as if we were not there.
  try {
    look(connection)
  } catch (error) {
    sink.failed(error)
  }
}
