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

/** Where a worker runs: a command line that puts the shell it is run by into it. */
export interface Container {
  readonly enter: string
}

/** A process of its own that runs one stack (`stacks/`) or one load (`loads/`). */
export class Worker {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #name: string
  /** Resolves with how it ended: its exit code, or the signal. */
  readonly ended: Promise<string>
  #hasEnded = false
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
    // A command on its way to a worker that is being killed: 'exit' tells.
    child.on('error', () => {})
    this.ended = new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        this.#hasEnded = true
        resolve(String(signal ?? code))
        for (const { reject } of this.#waiting.values())
          reject(new Error(`${name} ended (${signal ?? code})`))
        this.#waiting.clear()
      })
    })
  }

  /** `path` is that of a file in `bench/`, without its extension: `stacks/ws-bare`. */
  static async start(
    path: string,
    options: object = {},
    nodeOptions: string[] = [],
    container?: Container,
  ): Promise<Worker> {
    const module = new URL(`../${path}.js`, import.meta.url).href
    const flags = ['--expose-gc', ...nodeOptions]
    const child = fork(main, [module, JSON.stringify(options)], {
      ...(container === undefined
        ? { execArgv: flags }
        : {
            execPath: '/bin/sh',
            // The file and its arguments are $0 and $@.
            execArgv: ['-c', `${container.enter} && exec '${process.execPath}' ${flags.join(' ')} "$0" "$@"`],
          }),
    })
    const worker = new Worker(path, child)
    await worker.#answer(0)
    return worker
  }

  get pid(): number {
    return this.#child.pid as number
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  async call<T = void>(command: string, ...args: unknown[]): Promise<T> {
    if (this.#hasEnded) throw new Error(`${this.#name} has ended`)
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
    this.#child.kill('SIGKILL')
    await this.ended
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
