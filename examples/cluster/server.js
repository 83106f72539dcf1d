import cluster from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

cluster.setupPrimary({ exec: fileURLToPath(new URL('worker.js', import.meta.url)) })
const size = Number(process.env.WORKERS ?? 2)
const longestWaitMs = 10_000
let crashes = 0
let replacing = false
let ending = false

/** Workers that are to end: when they do, nobody takes their place. */
const leaving = new Set()

/** @returns {Promise<number>} where it listens */
async function startWorker() {
  const worker = cluster.fork()
  worker.once('exit', (code, signal) => {
    if (leaving.delete(worker) || ending) return
    console.log(`worker ${worker.process.pid} ended (${signal ?? code})`)
    void startAnother()
  })
  const [{ port }] = await once(worker, 'listening')
  crashes = 0
  // All workers share one port, also when it was to be any.
  return port
}

/** One that crashes at once shall not keep the machine busy with starting it. */
async function startAnother() {
  await sleep(Math.min(longestWaitMs, 100 * 2 ** crashes++))
  if (!ending) await startWorker()
}

/** The new one listens before the old one is told: there are never fewer than before. */
async function replaceWorkers() {
  if (replacing || ending) return
  replacing = true
  for (const old of Object.values(cluster.workers ?? {})) {
    if (old === undefined || old.isDead()) continue
    await startWorker()
    const exit = once(old, 'exit')
    leaving.add(old)
    // Not worker.kill(), which takes the channel away first. In the worker, peerpulse drains.
    old.process.kill('SIGTERM')
    await exit
  }
  replacing = false
  console.log(`replaced ${size} workers`)
}

/** @param {NodeJS.Signals} signal */
async function end(signal) {
  if (ending) process.exit(1)
  ending = true
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined)
  const exits = workers.map((worker) => once(worker, 'exit'))
  // Ctrl-C goes to the whole group: the workers have it already, and a second one would cut their drain short.
  if (signal === 'SIGTERM') for (const worker of workers) worker.process.kill('SIGTERM')
  await Promise.all(exits)
  process.exit(0)
}

process.on('SIGHUP', () => void replaceWorkers())
process.on('SIGTERM', end)
process.on('SIGINT', end)

let port = 0
for (let i = 0; i < size; i++) port = await startWorker()
console.log(`http://localhost:${port}`)
