import { reportHeartbeats } from './harness/heartbeat-report.js'
import { type Contender, cpuPerHeartbeat, measureHeartbeats } from './harness/heartbeats.js'
import { Report } from './harness/report.js'
import { meansOf, ratiosOf, type Samples, spreadOf } from './harness/rounds.js'

const plan = { rounds: 5, connections: 10_000, windowMs: 4_000 }
const names: Contender[] = [
  'ws',
  'README recipe',
  'timers per connection',
  'peerpulse',
  'peerpulse again (A/A)',
]

export async function run(): Promise<void> {
  const report = new Report('heartbeat', 'What do 10,000 heartbeats a second cost?', ['ws'])
  const measured = await measureHeartbeats(names, plan)
  reportHeartbeats(report, '10,000 idle', measured, plan.windowMs)

  const cpu = cpuPerHeartbeat(measured)
  // Two samples a round, since there are few rounds: these sides are too big for many.
  const both: Samples = { ...cpu, both: meansOf(cpu, 'peerpulse', 'peerpulse again (A/A)') }
  const cpuAgainst = (name: Contender) => ratiosOf(both, 'both', name)
  report.verdict(
    'CPU of a heartbeat, 10,000 idle peers, against per-connection timers',
    cpuAgainst('timers per connection'),
    { atMost: 1.0, aim: 0.9 },
  )
  report.verdict(
    'CPU of a heartbeat, 10,000 idle peers, against the README recipe',
    cpuAgainst('README recipe'),
    { atMost: 1.35, aim: 1.15 },
  )
  report.verdict(
    'the same of the two peerpulse servers against each other (A/A): the noise',
    ratiosOf(cpu, 'peerpulse again (A/A)', 'peerpulse'),
  )

  const stops = stopsOverBare(measured.stop)
  report.verdict('longest loop stop with 10,000 heartbeats a second over bare ws', stops('peerpulse'), {
    unit: 'ms',
    atMost: 10,
    aim: 5,
  })
  report.verdict('the same of the A/A side', stops('peerpulse again (A/A)'), { unit: 'ms' })
  const recipe = spreadOf(stops('README recipe')).median
  report.verdict(
    "the same as a share of the README recipe's",
    stops('peerpulse').map((stop) => stop / recipe),
    { atMost: 0.15 },
  )
  report.note('A loop is watched by a timer of 1 ms, whose own lateness is in every stop.')
  report.write()
}

/** A single bare stop is noise, so each is held against the median of the bare ones. */
function stopsOverBare(stop: Samples): (name: Contender) => number[] {
  const bare = spreadOf(stop.ws ?? []).median
  return (name) => (stop[name] ?? []).map((value) => value - bare)
}
