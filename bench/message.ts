import { Report } from './harness/report.js'
import { ratiosOf, spreadOf } from './harness/rounds.js'
import { steadyRounds } from './harness/steady-rounds.js'
import type { Worker } from './harness/worker.js'

/** Many processes: how often the pages of 60 KB buffers come anew from the kernel differs from one to the next. */
const plan = { generations: 12, rounds: 4 }
const connections = 200
const kinds = {
  'in, 100 bytes': { direction: 'in', bytes: 100, count: 10_000 },
  'in, 60 KB': { direction: 'in', bytes: 60_000, count: 1_000 },
  'out, 100 bytes': { direction: 'out', bytes: 100, count: 10_000 },
  'out, 60 KB': { direction: 'out', bytes: 60_000, count: 1_000 },
} as const
type Kind = keyof typeof kinds

/** Microseconds of server CPU per message. */
async function cpuOf(server: Worker, load: Worker, kind: Kind): Promise<number> {
  const { direction, bytes, count } = kinds[kind]
  const before = direction === 'in' ? await server.call<number>('received') : 0
  const cpu = await server.cpuDuring(() =>
    direction === 'in'
      ? Promise.all([load.call('say', count, bytes), server.call('whenReceived', before + count)])
      : server.call('send', count, bytes),
  )
  return cpu / count
}

async function everyKind(server: Worker, load: Worker): Promise<Record<Kind, number>> {
  const measured: Partial<Record<Kind, number>> = {}
  for (const kind of Object.keys(kinds) as Kind[]) measured[kind] = await cpuOf(server, load, kind)
  return measured as Record<Kind, number>
}

export async function run(): Promise<void> {
  const report = new Report('message', 'What does a WebSocket message cost?', ['ws'])
  const bare = { stack: 'ws-bare', load: 'websockets' }
  const measured = await steadyRounds(
    plan,
    { ws: bare, 'ws again (A/A)': bare, 'ws + peerpulse': { stack: 'ws-peerpulse', load: 'websockets' } },
    async (server, load) => {
      await load.call('connect', connections)
      for (let i = 0; i < 3; i++) await everyKind(server, load)
    },
    everyKind,
  )
  for (const [kind, samples] of Object.entries(measured)) {
    for (const [name, values] of Object.entries(samples)) report.measure(`${name}: ${kind}`, 'us CPU', values)
    report.verdict(
      `CPU per message, with against without: ${kind}`,
      ratiosOf(samples, 'ws + peerpulse', 'ws'),
      { aa: spreadOf(ratiosOf(samples, 'ws again (A/A)', 'ws')).median, atMost: 1.05 },
    )
  }
  report.note(
    'Default options, the budget among them. Each message is written and read by itself: the peers take turns.',
  )
  report.write()
}
