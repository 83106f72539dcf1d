import { Report } from './harness/report.js'
import { ratiosOf, type Samples, spreadOf } from './harness/rounds.js'
import { steadyRounds } from './harness/steady-rounds.js'
import type { Worker } from './harness/worker.js'

const plan = { generations: 4, rounds: 8 }
const connections = 1_000

/** A thousand come, and a thousand go, twice: with a FIN, and all at once with an RST. */
async function comeAndGo(server: Worker, load: Worker) {
  let rate = 0
  const come = async () => {
    const began = performance.now()
    await load.call('connect', connections)
    await server.call('whenClients', connections)
    rate = (connections / (performance.now() - began)) * 1000
  }
  const go = (how: 'end' | 'reset') => async () => {
    await load.call('leave', how)
    await server.call('whenClients', 0)
  }
  const upgrade = await server.cpuDuring(come)
  const end = await server.cpuDuring(go('end'))
  await come()
  await server.call('watchLoop')
  const reset = await server.cpuDuring(go('reset'))
  const stop = await server.call<number>('longestStop')
  return {
    rate,
    upgrade: upgrade / connections,
    end: end / connections,
    reset: reset / connections,
    stop,
  }
}

export async function run(): Promise<void> {
  const report = new Report('connect', 'What does it cost to come and go?', ['ws'])
  const bare = { stack: 'ws-bare', load: 'websockets' }
  const { rate, upgrade, end, reset, stop } = await steadyRounds(
    plan,
    {
      ws: bare,
      'ws again (A/A)': bare,
      'ws + peerpulse': { stack: 'ws-peerpulse', load: 'websockets' },
    },
    async (server, load) => {
      for (let i = 0; i < 4; i++) await comeAndGo(server, load)
    },
    comeAndGo,
  )
  const perCore = (samples: Samples): Samples =>
    Object.fromEntries(
      Object.entries(samples).map(([name, values]) => [name, values.map((us) => 1_000_000 / us)]),
    )
  for (const [what, unit, samples] of [
    ['accept and upgrade', 'a second', rate],
    ['accept and upgrade, CPU', 'us', upgrade],
    ['close by FIN, CPU', 'us', end],
    ['close by RST, CPU', 'us', reset],
    ['longest loop stop in a storm of resets', 'ms', stop],
  ] as const)
    for (const [name, values] of Object.entries(samples)) report.measure(`${name}: ${what}`, unit, values)

  const aaOf = (samples: Samples) => spreadOf(ratiosOf(samples, 'ws again (A/A)', 'ws')).median
  const verdict = (what: string, samples: Samples, atLeast?: number) =>
    report.verdict(what, ratiosOf(samples, 'ws + peerpulse', 'ws'), {
      aa: aaOf(samples),
      ...(atLeast !== undefined && { atLeast }),
    })
  verdict('accept + upgrade rate, against bare ws', perCore(upgrade), 0.95)
  verdict('the same by the clock', rate)
  verdict('close by FIN, rate', perCore(end))
  verdict('close by RST, rate', perCore(reset))
  report.note('A rate is what a core can do: the inverse of the CPU. By the clock, the load is in it too.')
  report.write()
}
