import type { Socket } from 'node:net'
import type { PeerConnection } from '../core/connection.js'
import { type ConnectionSink, carried } from '../core/sink.js'
import { writtenBytes } from './socket.js'
import { closeStreams, OPEN, socketBelow, type WebSocketLike } from './ws-internals.js'

/** What a socket holds before it asks its writer to wait (Node 20). Who reads what it gets stays below, as a rule at 0. */
const backlogBytes = 16 * 1024
/** What Node writes around the chunks and at the end of a response: never a reason to look at what the app wrote before. */
const framingBytes = 16

type GuardedMethod = 'send' | 'write' | 'destroy' | 'ping' | 'pong'
type Method = (...args: unknown[]) => unknown
type Owner = Record<string, Method>

/** Every guard's function, so that one that was left below another is found again. */
const guards = new WeakMap<Method, WriteGuard>()

/**
 * Sees each call of a method: one function, put as an own property on every WebSocket or socket in place of the
 * prototype's, that looks *before* the call and passes it on, whatever it found. For `send` and `write` that is each
 * write of a producer, in whose loop no tick runs.
 */
export class WriteGuard {
  readonly #name: GuardedMethod
  readonly #guard: Method
  readonly #descriptor: PropertyDescriptor
  /** Methods that were an object's own before ours: an app's, or another pulse's. Most have none. */
  readonly #before = new WeakMap<object, PropertyDescriptor>()
  #hasBefore = false
  /** Taken off while a stranger's function lay above ours, which still calls it. */
  readonly #left = new WeakSet<object>()
  #hasLeft = false

  /** `see` may put something else in the place of an argument. `saw`: called after it, with what `see` returned. */
  constructor(
    name: GuardedMethod,
    see: (target: object, args: unknown[]) => unknown,
    saw?: (target: object, seen: unknown) => void,
  ) {
    this.#name = name
    const before = (target: object) => this.#beforeOn(target)
    const isLeft = (target: object) => this.#hasLeft && this.#left.has(target)
    const takeOff = (target: object) => this.takeOff(target)
    this.#guard = function (this: object) {
      // biome-ignore lint/complexity/noArguments: no array is made for a write
      const args = arguments as unknown as unknown[]
      if (isLeft(this)) {
        takeOff(this)
        return Reflect.apply(before(this), this, args)
      }
      const seen = see(this, args)
      const result = Reflect.apply(before(this), this, args)
      saw?.(this, seen)
      return result
    }
    this.#descriptor = { value: this.#guard, configurable: true, writable: true, enumerable: false }
    guards.set(this.#guard, this)
  }

  /** What it cannot be put on, a frozen WebSocket for one, is left to the ticks. */
  put(target: object): void {
    if (typeof (target as Owner)[this.#name] !== 'function') return
    // Most have none, and a descriptor is dear.
    const own = Object.hasOwn(target, this.#name)
      ? Object.getOwnPropertyDescriptor(target, this.#name)
      : undefined
    if (own?.value !== this.#guard) {
      if (!Reflect.defineProperty(target, this.#name, this.#descriptor)) return
      this.#lieOn(target, own)
    }
    if (this.#hasLeft) this.#left.delete(target)
  }

  /** Leaves it as it was. Where a stranger took the method over after us, ours stays below and passes everything on. */
  takeOff(target: object): void {
    const own = Object.getOwnPropertyDescriptor(target, this.#name)
    if (own === undefined) return
    if (own.value === this.#guard) {
      const before = this.#hasBefore ? this.#stayingBefore(target) : undefined
      if (before === undefined) delete (target as Partial<Owner>)[this.#name]
      else {
        Object.defineProperty(target, this.#name, before)
        this.#before.delete(target)
      }
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
    if (before !== undefined) {
      this.#before.set(target, before)
      this.#hasBefore = true
    } else if (this.#hasBefore) this.#before.delete(target)
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
    if (own !== undefined) return (own.value ?? own.get?.call(target)) as Method
    const below = Object.getPrototypeOf(target) as Owner
    const method = below[this.#name] as Method
    // The app called an object that it had made of a WebSocket, by `Object.create`: it inherits ours.
    return method === this.#guard ? this.#beforeOn(below) : method
  }
}

/** Looks at what a connection buffers; called before a write to one that has a backlog. */
export type LookAtWrite = (connection: PeerConnection) => void

/**
 * For WebSockets. One that closes is let be: `ws` drops what is sent to it, and yet counts it as buffered. `look` is not
 * there without a budget.
 */
export function createSendGuard(sink: ConnectionSink, look: LookAtWrite | undefined): WriteGuard {
  return new WriteGuard('send', (target, args) => {
    spareStream(sink, target, args)
    const { bufferedAmount, readyState } = target as WebSocketLike
    if (look === undefined || bufferedAmount <= backlogBytes || readyState !== OPEN) return
    const socket = socketBelow(target)
    lookAt(sink, look, socket && carried(sink, socket))
  })
}

/**
 * `createWebSocketStream` makes an `'error'` of a send that fails, and most apps have no listener for it. A WebSocket that
 * we end fails those which the app makes until it learns of that: they are dropped, as on a socket that was closed. Whoever
 * writes on when all is closed has its stream destroyed without an error, or it would be read for ever.
 */
function spareStream(sink: ConnectionSink, target: object, args: unknown[]): void {
  const callback = args[args.length - 1]
  if (!isStreamCallback(callback)) return
  const socket = socketBelow(target)
  const connection = socket && carried(sink, socket)
  if (connection === undefined) return
  args[args.length - 1] = (error?: unknown) => {
    const isOurs = error != null && connection.isEndedByUs
    // Its readers have their end by then.
    if (isOurs && connection.state === 'closed') setImmediate(closeStreams, target)
    callback(isOurs ? undefined : error)
  }
}

/** Whether it is what a stream of Node's hands to its `_write`: a bound function up to Node 22, an arrow function since. */
function isStreamCallback(callback: unknown): callback is (error?: unknown) => void {
  if (typeof callback !== 'function') return false
  if (callback.name !== '' || callback.length !== 1) return callback.name === 'bound onwrite'
  return Function.prototype.toString.call(callback).includes('onwrite(stream')
}

/** For the sockets of HTTP connections. It stands aside once the socket is a WebSocket, whose frames are not to be torn. */
export function createResponseGuard(sink: ConnectionSink, look: LookAtWrite): WriteGuard {
  return new WriteGuard('write', (target, args) => {
    const { writableLength } = target as { writableLength: number }
    if (writableLength <= backlogBytes || sizeOf(args[0]) <= framingBytes) return
    const connection = carried(sink, target)
    if (connection?.webSocket === undefined) lookAt(sink, look, connection)
  })
}

/** For the app's pings and pongs, and the pongs of `ws`: what they add to a socket's bytes is no traffic. */
export function createControlGuard(sink: ConnectionSink, name: 'ping' | 'pong'): WriteGuard {
  return new WriteGuard(
    name,
    (target) => {
      const socket = socketBelow(target)
      return socket && writtenBytes(socket)
    },
    (target, before) => {
      const socket = socketBelow(target)
      const connection = socket && carried(sink, socket)
      if (connection !== undefined && typeof before === 'number')
        connection.knownOutbound += writtenBytes(socket as Socket) - before
    },
  )
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
