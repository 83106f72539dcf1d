import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import proxyAddr from 'proxy-addr'

/** Whether an address, so many hops away, is a proxy of ours. */
export type Trust = (address: string, hop: number) => boolean

/** Understands `limits.trustProxy` as Express understands its `trust proxy`. `undefined`: nobody is trusted. Throws for what is no address. */
export function compileTrust(value: unknown): Trust | undefined {
  if (value === false || value === 0 || value === undefined) return undefined
  if (value === true) return () => true
  if (typeof value === 'function') return value as Trust
  if (typeof value === 'number') return (_, hop) => hop < value
  const list = typeof value === 'string' ? value.split(',').map((part) => part.trim()) : (value as string[])
  return proxyAddr.compile(list)
}

/** The client's address behind the trusted proxies; `undefined` where none of them named a real one. */
export function clientAddress(req: IncomingMessage, trust: Trust): string | undefined {
  if (req.headers['x-forwarded-for'] === undefined || req.socket.remoteAddress === undefined) return undefined
  const address = proxyAddr(req, trust)
  return isIP(address) === 0 ? undefined : address
}

/** The trust function of the Express app that handles a request. */
export function expressTrust(req: IncomingMessage): Trust | undefined {
  const app = (req as { app?: { get?(name: string): unknown; enabled?(name: string): boolean } }).app
  if (typeof app?.get !== 'function') return undefined
  const setting = app.get('trust proxy')
  const compiled = app.get('trust proxy fn')
  return setting !== undefined && setting !== false && typeof compiled === 'function'
    ? (compiled as Trust)
    : undefined
}
