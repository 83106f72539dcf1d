import { mostConnections } from './harness/descriptors.js'
import { reportHeartbeats } from './harness/heartbeat-report.js'
import { type Contender, measureHeartbeats } from './harness/heartbeats.js'
import { Report } from './harness/report.js'

const windowMs = 3_000
const others: Contender[] = ['crossws', 'engine.io', 'graphql-ws']
const all: Contender[] = [
  'ws',
  'README recipe',
  'timers per connection',
  'peerpulse',
  'peerpulse again (A/A)',
  ...others,
]

/** Few rounds: this shows how costs grow, and how other libraries do; heartbeat.ts has the figures to hold. */
export async function run(): Promise<void> {
  const report = new Report(
    'heartbeat-scale',
    'What does a heartbeat cost with few and with very many peers?',
    ['ws', 'crossws', 'engine.io', 'graphql-ws'],
  )
  for (const { connections, rounds, names } of [
    { connections: 1_000, rounds: 2, names: all },
    { connections: 10_000, rounds: 1, names: ['ws', 'peerpulse', ...others] satisfies Contender[] },
    { connections: mostConnections(), rounds: 1, names: all },
  ]) {
    const measured = await measureHeartbeats(names, { connections, rounds, windowMs })
    reportHeartbeats(report, `${connections.toLocaleString('en')} idle`, measured, windowMs)
  }
  report.note(
    'crossws and the README recipe ping everybody in one pass; engine.io and graphql-ws have timers per connection.',
  )
  report.note('The pings of engine.io are messages, and its peers answer them with messages.')
  report.write()
}
