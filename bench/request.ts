import { Report } from './harness/report.js'
import { pairedRounds, ratiosOf, spreadOf } from './harness/rounds.js'
import { Worker } from './harness/worker.js'

const rounds = 40
const requestsPerRound = 4_000

/** A server and its load; measures microseconds of server CPU per request. */
async function side(stack: string, workers: Worker[]): Promise<() => Promise<number>> {
  const server = await Worker.start(`stacks/${stack}`)
  const load = await Worker.start('loads/http-requests', { port: await server.call('port'), connections: 20 })
  workers.push(server, load)
  await load.call('run', requestsPerRound * 3)
  return async () => (await server.cpuDuring(() => load.call('run', requestsPerRound))) / requestsPerRound
}

export async function run(): Promise<void> {
  const report = new Report('request', 'What does a request cost?')
  const workers: Worker[] = []
  try {
    const samples = await pairedRounds(rounds, {
      'node:http': await side('http-bare', workers),
      'node:http again (A/A)': await side('http-bare', workers),
      'node:http + peerpulse': await side('http-peerpulse', workers),
    })
    report.measureAll('us CPU', samples)
    const aa = spreadOf(ratiosOf(samples, 'node:http again (A/A)', 'node:http')).median
    report.verdict(
      'CPU per request, with against without',
      ratiosOf(samples, 'node:http + peerpulse', 'node:http'),
      {
        aa,
        atMost: 1.03,
      },
    )
    report.write()
  } finally {
    for (const worker of workers) await worker.stop()
  }
}
