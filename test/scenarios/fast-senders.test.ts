import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { until } from '../support/wait.js'
import { bytesAt } from './byte-stream.js'
import type { SlowReport } from './slow-handler-process.js'
import { openClient } from './support.js'

const MiB = 1024 * 1024
const peers = 50
const bytesPerSecond = MiB
const pieceBytes = 64 * 1024
const turnMs = 10
/** What a sender is behind its rate when it is held up for certain, and not by a slow machine for a moment. */
const heldUpBytes = MiB
/** What each wants to send before the handler catches up; 300 MiB in all, which the server would hold if it read on. */
const wantedBytes = 6 * MiB
/** Resident memory, while what they want to send is held up. */
const maxHeldBytes = 64 * MiB
/** And while 200 MiB rush in at once: V8 lets 64 MiB of buffers become garbage before it looks for any, and goes on while it looks. */
const maxGrowthBytes = 160 * MiB
/** Shorter than a handler takes for one piece. */
const heartbeat = { intervalMs: 500, timeoutMs: 250 }

/** Hands a piece to the network, and calls back once it was taken. */
type Send = (piece: Buffer, taken: (error?: Error | null) => void) => void

/** Sends at a rate, or as fast as it is let if that is less. */
class Sender {
  accepted = 0
  readonly #send: Send
  readonly #began = performance.now()
  readonly #timer: NodeJS.Timeout
  #busy = false
  #stopped = false

  constructor(send: Send) {
    this.#send = send
    this.#timer = setInterval(() => this.#next(), turnMs)
  }

  /** It wanted to send enough, and the network did not take it. */
  get isHeldUp(): boolean {
    return this.wantedBytes >= wantedBytes && this.wantedBytes - this.accepted >= heldUpBytes
  }

  get wantedBytes(): number {
    return ((performance.now() - this.#began) / 1000) * bytesPerSecond
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#timer)
  }

  /** Resolves once its last piece was taken, with how many bytes it sent in all. */
  async finish(): Promise<number> {
    this.stop()
    await until(() => !this.#busy, 'the last piece is taken')
    return this.accepted
  }

  #next(): void {
    if (this.#busy || this.#stopped || this.accepted + pieceBytes > this.wantedBytes) return
    this.#busy = true
    this.#send(bytesAt(this.accepted, pieceBytes), (error) => {
      // Closed: the server tells as what.
      if (error) return
      this.accepted += pieceBytes
      this.#busy = false
      this.#next()
    })
  }
}

async function startServer(t: TestContext) {
  const child = fork(fileURLToPath(new URL('./slow-handler-process.js', import.meta.url)), [
    JSON.stringify({ heartbeat }),
  ])
  t.after(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return {
    port,
    catchUp: () => void child.send('catch up'),
    async report(): Promise<SlowReport> {
      const answer = once(child, 'message')
      child.send('report')
      return ((await answer) as [SlowReport])[0]
    },
  }
}

type Server = Awaited<ReturnType<typeof startServer>>

/** Has all senders held up by a server that works slowly, and then everything delivered. */
async function holdUpAndDeliver(
  t: TestContext,
  server: Server,
  senders: Sender[],
  whileHeldUp: () => Promise<unknown> = async () => {},
): Promise<void> {
  t.after(() => {
    for (const sender of senders) sender.stop()
  })
  await until(() => senders.every(({ isHeldUp }) => isHeldUp), 'all senders are held up')
  await whileHeldUp()
  const wanted = senders.reduce((sum, sender) => sum + sender.wantedBytes, 0)
  const { bytes: handled, closes, peakGrowthBytes: held } = await server.report()
  assert.deepEqual(closes, {}, 'somebody was closed while the handler was busy')

  const stopped = Promise.all(senders.map((sender) => sender.finish()))
  server.catchUp()
  const sent = (await stopped).reduce((sum, bytes) => sum + bytes, 0)
  await until(async () => (await server.report()).bytes >= sent, 'all of it is delivered')
  const report = await server.report()
  t.diagnostic(
    `wanted to send ${Math.round(wanted / MiB)} MiB, sent ${Math.round(sent / MiB)}, ` +
      `${Math.round(handled / MiB)} handled until then; memory grew by ${Math.round(held / MiB)} MiB at most ` +
      `until then, and by ${Math.round(report.peakGrowthBytes / MiB)} in all`,
  )
  assert.equal(report.bytes, sent)
  assert.equal(report.harmed, 0)
  assert.deepEqual(report.closes, {})
  assert.ok(held <= maxHeldBytes, `grew by ${held / MiB} MiB while all were held up`)
  assert.ok(report.peakGrowthBytes <= maxGrowthBytes, `grew by ${report.peakGrowthBytes / MiB} MiB`)
}

test(`${peers} WebSockets sending 1 MiB/s each to an app that pauses them while it works`, async (t) => {
  const server = await startServer(t)
  const clients = await Promise.all(Array.from({ length: peers }, () => openClient(server.port)))
  t.after(() => {
    for (const client of clients) client.terminate()
  })
  const senders = clients.map((client) => new Sender((piece, taken) => client.send(piece, taken)))
  await holdUpAndDeliver(t, server, senders, async () => {
    const { pings } = await server.report()
    // Longer than interval and timeout, for each of them.
    await until(async () => (await server.report()).pings >= pings + 3 * peers, 'three rounds of pings')
  })
})

test(`${peers} uploads of 1 MiB/s each to a handler that reads with for await`, async (t) => {
  const server = await startServer(t)
  const uploads = Array.from({ length: peers }, () => {
    const upload = request({ port: server.port, host: '127.0.0.1', method: 'POST', agent: false })
    upload.on('error', () => {})
    return upload
  })
  t.after(() => {
    for (const upload of uploads) upload.destroy()
  })
  const senders = uploads.map((upload) => new Sender((piece, taken) => upload.write(piece, taken)))
  await holdUpAndDeliver(t, server, senders)
})
