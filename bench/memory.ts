import { setTimeout as sleep } from 'node:timers/promises'
import { pairedMeasures } from './harness/measures.js'
import { Report } from './harness/report.js'
import { differencesOf } from './harness/rounds.js'
import { type Side, withLoad } from './harness/with-load.js'
import type { Worker } from './harness/worker.js'

const rounds = 5
const connections = 10_000
/** They come and go before the first measure: what is made once, and what is kept of the gone, is not counted. */
const visitors = 500
const idleMs = 3_000

/** Bytes of heap and of the process that a connection takes. */
function perConnection(side: Omit<Side, 'load'>) {
  return () =>
    withLoad({ ...side, load: 'websockets' }, async (server, load) => {
      await load.call('connect', visitors)
      await load.call('leave')
      await sleep(500)
      const before = await bytesOf(server)
      await load.call('connect', connections)
      await sleep(idleMs)
      const after = await bytesOf(server)
      const open = await load.call<number>('open')
      if (open !== connections) throw new Error(`${connections - open} peers are gone`)
      return { heap: (after.heap - before.heap) / connections, rss: (after.rss - before.rss) / connections }
    })
}

async function bytesOf(server: Worker): Promise<{ heap: number; rss: number }> {
  const { heapUsed, external, rss } = await server.memory()
  return { heap: heapUsed + external, rss }
}

export async function run(): Promise<void> {
  const report = new Report('memory', 'What does an idle WebSocket take of the memory?', ['ws'])
  const loadOptions = { ownAddresses: true }
  const { heap, rss } = await pairedMeasures(rounds, {
    ws: perConnection({ stack: 'ws-bare' }),
    'ws again (A/A)': perConnection({ stack: 'ws-bare' }),
    'README recipe': perConnection({ stack: 'ws-readme' }),
    'timers per connection': perConnection({ stack: 'ws-timers' }),
    peerpulse: perConnection({ stack: 'ws-peerpulse' }),
    'ws, own addresses': perConnection({ stack: 'ws-bare', loadOptions }),
    'peerpulse, own addresses': perConnection({
      stack: 'ws-peerpulse',
      options: { limits: { maxPerPeer: 100_000 } },
      loadOptions,
    }),
  })
  for (const [name, values] of Object.entries(heap)) report.measure(`${name}: heap`, 'bytes', values)
  for (const [name, values] of Object.entries(rss)) report.measure(`${name}: RSS`, 'bytes', values)

  const added = 'heap added per WebSocket connection over bare ws'
  report.verdict(`${added}, default options`, differencesOf(heap, 'peerpulse', 'ws'), {
    unit: 'bytes',
    atMost: 600,
  })
  report.verdict(`${added}, A/A`, differencesOf(heap, 'ws again (A/A)', 'ws'), { unit: 'bytes' })
  report.verdict(
    `${added}, with per-peer accounting`,
    differencesOf(heap, 'peerpulse, own addresses', 'ws, own addresses'),
    { unit: 'bytes', atMost: 800 },
  )
  report.write()
}
