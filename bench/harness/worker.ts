import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('worker-main.js', import.meta.url))
/** No command takes longer; a worker that hangs ends the bench. */
const commandTimeoutMs = 180_000

interface Memory {
  rss: number
  heapUsed: number
  external: number
  arrayBuffers: number
}

/** A process of its own that runs one stack (`stacks/`) or one load (`loads/`). */
export class Worker {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #name: string
  #lastId = 0

  private constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.#child = child
    child.on('message', ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(result)
      else waiting?.reject(new Error(`${name}: ${error}`))
    })
    child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${name} ended (${signal ?? code})`))
      this.#waiting.clear()
    })
  }

  /** `path` is that of a file in `bench/`, without its extension: `stacks/ws-bare`. */
  static async start(path: string, options: object = {}, nodeOptions: string[] = []): Promise<Worker> {
    const module = new URL(`../${path}.js`, import.meta.url).href
    const child = fork(main, [module, JSON.stringify(options)], { execArgv: ['--expose-gc', ...nodeOptions] })
    const worker = new Worker(path, child)
    await worker.#answer(0)
    return worker
  }

  async call<T = void>(command: string, ...args: unknown[]): Promise<T> {
    const id = ++this.#lastId
    const answer = this.#answer(id)
    this.#child.send({ id, command, args })
    return (await answer) as T
  }

  /** Microseconds of CPU that its process spends while `work` runs. */
  async cpuDuring(work: () => Promise<unknown>): Promise<number> {
    const before = await this.call<number>('cpu')
    await work()
    return (await this.call<number>('cpu')) - before
  }

  /** After full garbage collections. */
  memory(): Promise<Memory> {
    return this.call('memory')
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await exited
  }

  #answer(id: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(new Error(`${this.#name} did not answer`))
      }, commandTimeoutMs)
      this.#waiting.set(id, {
        resolve(value) {
          clearTimeout(timer)
          resolve(value)
        },
        reject(error) {
          clearTimeout(timer)
          reject(error)
        },
      })
    })
  }
}
