import { setTimeout as sleep } from 'node:timers/promises'
import { pairedMeasures } from './harness/measures.js'
import { Report } from './harness/report.js'
import { ratiosOf, spreadOf } from './harness/rounds.js'
import { Worker } from './harness/worker.js'
import type { Question } from './stacks/questions.js'

const rounds = 5
const calls = 30
/** Peers that came and went before: what a history has to tell. */
const gone = 5_000
const questions: Question[] = ['snapshot()', 'snapshot() as JSON', 'history()', 'history() as JSON']
const longest = (question: Question) => `${question}, longest` as const
type Measured = Question | ReturnType<typeof longest>

const longHistory = { maxCloses: gone, maxPeers: gone }

/** Milliseconds of a call, of a server with so many connections. */
async function side(connections: number, history: object, workers: Worker[]) {
  const server = await Worker.start('stacks/ws-peerpulse', { history })
  workers.push(server)
  const load = await Worker.start('loads/websockets', {
    port: await server.call('port'),
    ownAddresses: true,
  })
  workers.push(load)
  await load.call('connect', gone)
  await load.call('leave')
  await sleep(500)
  await load.call('connect', connections)
  return async () => {
    const measured: Partial<Record<Measured, number>> = {}
    for (const question of questions) {
      const times = await server.call<number[]>('timesOf', question, calls)
      measured[question] = spreadOf(times).median
      measured[longest(question)] = Math.max(...times)
    }
    return measured as Record<Measured, number>
  }
}

export async function run(): Promise<void> {
  const report = new Report('snapshot', 'How long do snapshot() and history() stop the loop?', ['ws'])
  const workers: Worker[] = []
  try {
    const measured = await pairedMeasures(rounds, {
      '1,000': await side(1_000, longHistory, workers),
      '10,000': await side(10_000, longHistory, workers),
      '10,000 again (A/A)': await side(10_000, longHistory, workers),
      '10,000, default': await side(10_000, {}, workers),
    })
    for (const question of questions)
      for (const what of [question, longest(question)])
        for (const [name, values] of Object.entries(measured[what]))
          report.measure(`${name}: ${what}`, 'ms', values)

    for (const question of questions)
      report.verdict(`loop stop of ${question}, 10,000 peers`, measured[question]['10,000'] ?? [], {
        unit: 'ms',
      })
    const snapshots = measured['snapshot()']
    report.verdict(
      'loop stop of snapshot(), 10,000 peers against 1,000',
      ratiosOf(snapshots, '10,000', '1,000'),
      { aa: spreadOf(ratiosOf(snapshots, '10,000 again (A/A)', '10,000')).median },
    )
    report.note(
      `Peers are idle WebSockets with an address each. Before they came, ${gone.toLocaleString('en')} others had come and gone, and the history keeps ${gone.toLocaleString('en')} closes and as many addresses; by default it keeps 1,000 closes and 5,000 addresses ("default"). Where 10,000 are connected, most of the addresses it keeps are theirs, and have no close yet.`,
    )
    report.note(
      `A round asks ${calls} times, with a pause after each, and counts the median and the longest; a garbage collection may be in it.`,
    )
    report.write()
  } finally {
    for (const worker of workers) await worker.stop()
  }
}
