import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import proxyAddr from 'proxy-addr'

/** Whether an address, so many hops away, is a proxy of ours. */
type Trust = (address: string, hop: number) => boolean

/** What Express keeps of a setting. A mounted app inherits it. */
interface ExpressApp {
  readonly settings: { 'trust proxy'?: unknown; 'trust proxy fn'?: unknown }
}

/** Understands `limits.trustProxy` as Express understands its `trust proxy`. `undefined`: nobody is trusted. Throws for what is no address. */
export function compileTrust(value: unknown): Trust | undefined {
  if (value === false || value === 0 || value === undefined) return undefined
  if (value === true) return () => true
  if (typeof value === 'function') return value as Trust
  if (typeof value === 'number') return (_, hop) => hop < value
  const list = typeof value === 'string' ? value.split(',').map((part) => part.trim()) : (value as string[])
  return proxyAddr.compile(list)
}

/** Which proxies name the peers: as configured, else as the Express app behind each server says. */
export class ProxyTrust {
  readonly #configured: Trust | undefined
  readonly #apps = new WeakMap<object, ExpressApp>()
  /** When a server was looked at last, without finding one. */
  readonly #lookedAt = new WeakMap<object, number>()
  #hasApps = false

  constructor(configured: unknown) {
    this.#configured = compileTrust(configured)
  }

  /**
   * Looks for an Express app among a server's listeners: WebSockets and probes never reach the app itself. Asked at attach
   * too, since Socket.IO puts one listener of its own in the place of all that are there. `tick`: during one it is looked once.
   */
  learnFrom(server: unknown, tick?: number): void {
    if (this.#configured !== undefined || !isServer(server) || this.#apps.has(server)) return
    if (tick !== undefined) {
      if (this.#lookedAt.get(server) === tick) return
      this.#lookedAt.set(server, tick)
    }
    const app = server.listeners('request').find(isExpressApp)
    if (app !== undefined) this.#know(server, app)
  }

  /** An app that a listener of its own calls is known by its first request. `true`: it was not known. */
  learnFromRequest(req: IncomingMessage): boolean {
    const { app, socket } = req as { app?: unknown; socket: Socket }
    const server = serverOf(socket)
    if (this.#configured !== undefined || !isServer(server) || this.#apps.has(server) || !isExpressApp(app))
      return false
    this.#know(server, app)
    return true
  }

  /** Who may name the peer at the other end of a socket; `undefined`: nobody, the socket's address is its own. */
  of(socket: Socket): Trust | undefined {
    if (this.#configured !== undefined || !this.#hasApps) return this.#configured
    const server = serverOf(socket)
    const settings = isServer(server) ? this.#apps.get(server)?.settings : undefined
    const setting = settings?.['trust proxy']
    const compiled = settings?.['trust proxy fn']
    return setting && typeof compiled === 'function' ? (compiled as Trust) : undefined
  }

  #know(server: Server, app: ExpressApp): void {
    this.#apps.set(server, app)
    this.#hasApps = true
  }
}

/** The server that accepted a socket. */
export function serverOf(socket: Socket | undefined): unknown {
  return (socket as { server?: unknown } | undefined)?.server
}

function isServer(server: unknown): server is Server {
  return typeof server === 'object' && server !== null && typeof (server as Server).listeners === 'function'
}

/** Express 4 and 5: a function with settings. */
function isExpressApp(listener: unknown): listener is ExpressApp & (() => void) {
  const settings = typeof listener === 'function' ? (listener as Partial<ExpressApp>).settings : undefined
  return typeof settings === 'object' && settings !== null
}
