import { EventEmitter } from 'node:events'
import { readFileSync } from 'node:fs'
import { start } from './children.js'

const mebibyte = 1024 * 1024
const sampleMs = 100
const maxRestarts = 5
const startTimeoutMs = 15_000

/**
 * The usual share of a container's memory for the V8 heap; Buffers come on top.
 *
 * @param {number} ceilingMib
 */
export const heapMib = (ceilingMib) => Math.round(ceilingMib * 0.75)

/**
 * @typedef {object} Death
 * @property {number} atMs Since the first start.
 * @property {string} how
 */

/**
 * Stands for the small box and its process manager: kills the server above the memory ceiling, as the kernel would in
 * a container, and starts it again on the same port. Emits 'message' (of the server), 'death' and 'back'.
 */
export class Supervisor extends EventEmitter {
  /** @type {Death[]} */
  deaths = []
  memoryMib = 0
  peakMib = 0
  port = 0
  #bare
  #ceilingMib
  startedAt = performance.now()
  #overCeiling = false
  #stopping = false
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child
  /** @type {NodeJS.Timeout | undefined} */
  #sampling
  /** The last words of a server that crashed. */
  #stderr = ''

  /** @param {{ bare: boolean, ceilingMib: number }} options */
  constructor({ bare, ceilingMib }) {
    super()
    this.#bare = bare
    this.#ceilingMib = ceilingMib
  }

  async start() {
    await this.#startServer()
    this.#sampling = setInterval(() => this.#sample(), sampleMs)
  }

  /**
   * Sends SIGTERM, and waits for the process to exit by itself.
   *
   * @param {number} withinMs
   * @returns {Promise<string>} how it exited
   */
  async terminate(withinMs) {
    this.#stopping = true
    const child = this.#child
    if (child === undefined) return 'it was not running'
    const startedAt = performance.now()
    const gone = goneOf(child)
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), withinMs)
    await gone
    clearTimeout(timer)
    const tookS = ((performance.now() - startedAt) / 1_000).toFixed(1)
    if (child.signalCode === 'SIGKILL') return `not within ${withinMs / 1_000} s`
    return child.signalCode === null
      ? `exit code ${child.exitCode} after ${tookS} s`
      : `ended by ${child.signalCode} after ${tookS} s`
  }

  /** Watches no more, and starts nothing again. */
  stop() {
    this.#stopping = true
    clearInterval(this.#sampling)
  }

  #startServer() {
    const child = start('server.js', {
      args: this.#bare ? ['--bare'] : [],
      execArgv: [`--max-old-space-size=${heapMib(this.#ceilingMib)}`],
      env: { PORT: String(this.port), MEMORY_MIB: String(this.#ceilingMib) },
    })
    this.#child = child
    this.#stderr = ''
    child.stderr?.on('data', (chunk) => {
      this.#stderr = (this.#stderr + chunk).slice(-4_000)
    })
    /** @type {Promise<void>} */
    const listening = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the server did not start in time')), startTimeoutMs)
      child.on('message', (/** @type {any} */ message) => {
        if (message.memory !== undefined) this.#noteMemory(message.memory)
        if (message.listening !== undefined) {
          clearTimeout(timer)
          this.port = message.listening
          resolve()
        } else this.emit('message', message)
      })
      goneOf(child).then(() => {
        clearTimeout(timer)
        reject(new Error(`the server did not start: ${this.#stderr}`))
        if (this.port !== 0) this.#noteGone(child)
      })
    })
    return listening
  }

  /** @param {import('node:child_process').ChildProcess} child */
  #noteGone(child) {
    this.#child = undefined
    this.memoryMib = 0
    if (this.#stopping) return
    const crashed = /^\w*Error.*$/m.exec(this.#stderr)?.[0]
    const how = this.#overCeiling
      ? `was killed above ${this.#ceilingMib} MiB`
      : `crashed: ${crashed ?? child.signalCode ?? `exit code ${child.exitCode}`}`
    this.#overCeiling = false
    this.deaths.push({ atMs: performance.now() - this.startedAt, how })
    this.emit('death', how)
    if (this.deaths.length > maxRestarts) return
    this.#startServer().then(
      () => this.emit('back'),
      () => {},
    )
  }

  /** Reads the resident memory from outside: a server in trouble would not tell. */
  #sample() {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      const rss = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
      const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]
      if (peak !== undefined) this.peakMib = Math.max(this.peakMib, Number(peak) / 1024)
      if (rss !== undefined) this.#noteMemory(Number(rss) * 1024)
    } catch {
      // Not Linux, or gone just now: then what the server tells must do.
    }
  }

  /** @param {number} bytes */
  #noteMemory(bytes) {
    this.memoryMib = bytes / mebibyte
    this.peakMib = Math.max(this.peakMib, this.memoryMib)
    if (this.memoryMib <= this.#ceilingMib || this.#stopping) return
    this.#overCeiling = true
    this.#child?.kill('SIGKILL')
  }
}

/**
 * It has exited, and all that it had told was heard.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
function goneOf(child) {
  return Promise.all([
    new Promise((resolve) => child.once('exit', resolve)),
    new Promise((resolve) => child.once('disconnect', resolve)),
  ])
}
