import { Report } from './harness/report.js'
import { ratiosOf, spreadOf } from './harness/rounds.js'
import { steadyRounds } from './harness/steady-rounds.js'
import type { Worker } from './harness/worker.js'

/** A hundredth is to be seen: many processes, and each sample some 0.2 s of work. */
const plan = { generations: 8, rounds: 8 }
const connections = 100
const count = 15_000
const bytes = 1_024

/** Microseconds of server CPU per send. */
async function measure(server: Worker, load: Worker): Promise<{ send: number }> {
  const before = await load.call<number>('messages')
  const cpu = await server.cpuDuring(() => server.call('send', count, bytes))
  // All of it is read before the next sample begins: no side starts with another's backlog.
  while ((await load.call<number>('messages')) < before + count) await new Promise(setImmediate)
  return { send: cpu / count }
}

export async function run(): Promise<void> {
  const report = new Report('send', 'What does the budget cost a send?', ['ws'])
  const load = 'websockets'
  const side = (budget: object | false) => ({ stack: 'ws-peerpulse', options: { budget }, load })
  const { send } = await steadyRounds(
    plan,
    {
      'budget: false': side(false),
      'budget: false again (A/A)': side(false),
      'with the budget': side({}),
      ws: { stack: 'ws-bare', load },
    },
    async (server, loading) => {
      await loading.call('connect', connections)
      for (let i = 0; i < 2; i++) await measure(server, loading)
    },
    measure,
  )
  report.measureAll('us CPU', send)
  const aa = spreadOf(ratiosOf(send, 'budget: false again (A/A)', 'budget: false')).median
  report.verdict(
    'CPU per send of 1 KiB, with the budget against without',
    ratiosOf(send, 'with the budget', 'budget: false'),
    { aa, atMost: 1.05 },
  )
  report.verdict(
    'CPU per send of 1 KiB, with the budget against bare ws',
    ratiosOf(send, 'with the budget', 'ws'),
  )
  report.note('Clients that read all they get: their backlog is 0, and the own `send` compares two numbers.')
  report.write()
}
