import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Peerpulse, type PeerpulseOptions, peerpulse } from '../../lib/index.js'
import { inTime } from './wait.js'

/** An answer, read to its end. */
export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

/** What a probe says of one check. */
export interface CheckLine {
  status: string
  output?: string
  time: string
  durationMs: number
  observedUnit: string
}

/** The body of a probe. */
export interface Health {
  status: string
  output?: string
  checks?: Record<string, [CheckLine]>
}

/** A promise and what settles it. */
export interface Gate {
  readonly promise: Promise<void>
  open(): void
  fail(error: Error): void
}

/** Lets a test say when something of the server's goes on. */
export function gate(): Gate {
  let open: () => void = () => {}
  let fail: (error: Error) => void = () => {}
  const promise = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { promise, open, fail }
}

/** Listens on a free port of this machine; the URL. */
export async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Ends a server and whoever is connected. */
export async function shut(server: Server): Promise<void> {
  server.closeAllConnections()
  if (!server.listening) return
  await new Promise((resolve) => server.close(resolve))
}

/** One request on a connection of its own, as an orchestrator's probe is. */
export function ask(
  url: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const answered = new Promise<Answer>((resolve, reject) => {
    const req = httpRequest(url, { method, headers, agent: false }, (res) => {
      let text = ''
      res.setEncoding('utf8')
      res.on('data', (chunk: string) => {
        text += chunk
      })
      res.on('error', reject)
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text }))
    })
    req.on('error', reject)
    req.end()
  })
  return inTime(answered, `answer to ${method} ${url}`)
}

/** Reads the body of a probe. */
export function health(answer: Answer): Health {
  return JSON.parse(answer.text) as Health
}

/** A server whose app answers everything with `app <method> <url>`, and the pulse that watches it. */
export interface Served extends AsyncDisposable {
  readonly pulse: Peerpulse
  readonly server: Server
  readonly url: string
}

/** Starts such a server. No signal handlers: they would be those of the test itself. */
export async function serve(options: PeerpulseOptions = {}): Promise<Served> {
  const pulse = peerpulse({ ...options, drain: { signals: [], ...options.drain } })
  const server = createServer((req, res) => res.end(`app ${req.method} ${req.url}`))
  pulse.attach(server)
  const url = await listen(server)
  const dispose = async () => {
    await pulse.detach()
    await shut(server)
  }
  return { pulse, server, url, [Symbol.asyncDispose]: dispose }
}
