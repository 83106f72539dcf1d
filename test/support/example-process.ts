import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type ClientOptions, WebSocket } from 'ws'
import { inTime, until } from './wait.js'

/** The root of the package, wherever the compiled test lies. */
export const packageRoot = dirname(createRequire(import.meta.url).resolve('peerpulse/package.json'))

/** How a process ended. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** An example that runs. Dispose it, or a test that failed leaves it behind. */
export interface Example extends AsyncDisposable {
  /** As it printed it. */
  readonly url: string
  readonly port: number
  /** `localhost`'s WebSocket URL of a path. */
  webSocketUrl(path: string): string
  /** What it has printed so far, errors included. */
  output(): string
  /** Waits until it has printed something. */
  printed(pattern: RegExp): Promise<void>
  kill(signal: NodeJS.Signals): void
  exit(): Promise<Exit>
}

/** Starts `examples/<name>/server.js` on a free port and waits for its URL. */
export async function startExample(name: string, env: Record<string, string> = {}): Promise<Example> {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  const child = spawn(process.execPath, [join('examples', name, 'server.js')], {
    cwd: packageRoot,
    env: { ...inherited, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const dispose = async () => {
    child.kill('SIGKILL')
    await exited
  }
  const output = collect(child)
  const urlOf = () => /^(https?):\/\/localhost:(\d+)$/m.exec(output())
  try {
    await until(() => {
      if (child.exitCode !== null) throw new Error(`${name} exited with ${child.exitCode}:\n${output()}`)
      return urlOf()
    }, `URL of ${name}`)
  } catch (error) {
    await dispose()
    throw error
  }
  const [url, scheme, port] = urlOf() as unknown as [string, string, string]
  return {
    url,
    port: Number(port),
    webSocketUrl: (path) => `${scheme.replace('http', 'ws')}://localhost:${port}${path}`,
    output,
    printed: async (pattern) =>
      void (await until(() => pattern.test(output()), `${pattern} in the output of ${name}`)),
    kill: (signal) => void child.kill(signal),
    exit: () => inTime(exited, `exit of ${name}`).then(([code, signal]) => ({ code, signal })),
    [Symbol.asyncDispose]: dispose,
  }
}

function collect({ stdout, stderr }: ChildProcess): () => string {
  let output = ''
  for (const stream of [stdout, stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  }
  return () => output
}

/** How a WebSocket ended. */
export interface Closed {
  code: number
  reason: string
}

/** A WebSocket client that misses nothing: messages are kept until somebody asks. */
export class Peer implements Disposable {
  readonly closed: Promise<Closed>
  readonly #webSocket: WebSocket
  readonly #messages: string[] = []

  private constructor(webSocket: WebSocket) {
    this.#webSocket = webSocket
    webSocket.on('message', (data) => this.#messages.push(String(data)))
    this.closed = new Promise((resolve) => {
      webSocket.on('close', (code, reason) => resolve({ code, reason: String(reason) }))
    })
  }

  static async connect(url: string, options: ClientOptions = {}): Promise<Peer> {
    const webSocket = new WebSocket(url, options)
    const peer = new Peer(webSocket)
    await inTime(once(webSocket, 'open'), `WebSocket at ${url}`)
    return peer
  }

  send(message: string | object): void {
    this.#webSocket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  /** The next message that matches; those before it are dropped. */
  async next(pattern: RegExp): Promise<string> {
    let found: string | undefined
    await until(() => {
      while (found === undefined && this.#messages.length > 0) {
        const message = this.#messages.shift() as string
        if (pattern.test(message)) found = message
      }
      return found !== undefined
    }, `message ${pattern}`)
    return found as unknown as string
  }

  close(code?: number): Promise<Closed> {
    this.#webSocket.close(code)
    return this.ended()
  }

  ended(): Promise<Closed> {
    return inTime(this.closed, 'end of the WebSocket')
  }

  [Symbol.dispose](): void {
    this.#webSocket.on('error', () => {})
    this.#webSocket.terminate()
  }
}

/** The status with which an upgrade was refused. */
export async function refusalOf(url: string, options: ClientOptions = {}): Promise<number> {
  const webSocket = new WebSocket(url, options)
  webSocket.on('error', () => {})
  try {
    const [, res] = await inTime(once(webSocket, 'unexpected-response'), `refusal at ${url}`)
    return res.statusCode
  } finally {
    webSocket.terminate()
  }
}
