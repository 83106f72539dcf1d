import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import proxyAddr from 'proxy-addr'

/** Whether an address, so many hops away, is a proxy of ours. */
type Trust = (address: string, hop: number) => boolean

/** Understands `limits.trustProxy` as Express understands its `trust proxy`. `undefined`: nobody is trusted. Throws for what is no address. */
export function compileTrust(value: unknown): Trust | undefined {
  if (value === false || value === 0 || value === undefined) return undefined
  if (value === true) return () => true
  if (typeof value === 'function') return value as Trust
  if (typeof value === 'number') return (_, hop) => hop < value
  const list = typeof value === 'string' ? value.split(',').map((part) => part.trim()) : (value as string[])
  return proxyAddr.compile(list)
}

/** Which proxies name the peers: as configured, else as the Express app says once it has handled a request. */
export class ProxyTrust {
  #trust: Trust | undefined
  readonly #guard: (trust: Trust) => Trust
  readonly #onError: (error: unknown) => void

  /** `guard`: has a function of the app's answer yes or no, since `proxy-addr` would take a promise for a yes. */
  constructor(configured: unknown, guard: (trust: Trust) => Trust, onError: (error: unknown) => void) {
    this.#trust = typeof configured === 'function' ? guard(configured as Trust) : compileTrust(configured)
    this.#guard = guard
    this.#onError = onError
  }

  /** Whether nobody is trusted: a peer's address is its socket's, and known at accept. */
  get isEmpty(): boolean {
    return this.#trust === undefined
  }

  /** Takes over the app's trust. `true`: it has one. */
  learnFrom(req: IncomingMessage): boolean {
    const trust = expressTrust(req)
    this.#trust = trust && this.#guard(trust)
    return this.#trust !== undefined
  }

  /** The trust function may be the app's, and throw. */
  clientAddress(req: IncomingMessage): string | undefined {
    try {
      return this.#trust && clientAddress(req, this.#trust)
    } catch (error) {
      this.#onError(error)
      return undefined
    }
  }
}

/** The client's address behind the trusted proxies; `undefined` where none of them named a real one. */
function clientAddress(req: IncomingMessage, trust: Trust): string | undefined {
  if (req.headers['x-forwarded-for'] === undefined || req.socket.remoteAddress === undefined) return undefined
  const address = proxyAddr(req, trust)
  return isIP(address) === 0 ? undefined : address
}

/** The trust function of the Express app that handles a request. */
function expressTrust(req: IncomingMessage): Trust | undefined {
  const app = (req as { app?: { get?(name: string): unknown; enabled?(name: string): boolean } }).app
  if (typeof app?.get !== 'function') return undefined
  const setting = app.get('trust proxy')
  const compiled = app.get('trust proxy fn')
  return setting !== undefined && setting !== false && typeof compiled === 'function'
    ? (compiled as Trust)
    : undefined
}
