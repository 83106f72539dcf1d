import { reportHeartbeats } from './harness/heartbeat-report.js'
import { type Contender, heartbeat, measureHeartbeats } from './harness/heartbeats.js'
import { Report } from './harness/report.js'
import { differencesOf, ratiosOf } from './harness/rounds.js'

const plan = {
  rounds: 5,
  connections: 10_000,
  windowMs: 6_000,
  talkEveryMs: 0.7 * heartbeat.intervalMs,
}
const names: Contender[] = ['ws', 'ws again (A/A)', 'README recipe', 'peerpulse', 'peerpulse, heartbeat off']

export async function run(): Promise<void> {
  const report = new Report('heartbeat-busy', 'What does a heartbeat cost where peers talk anyway?', ['ws'])
  const measured = await measureHeartbeats(names, plan)
  reportHeartbeats(report, '10,000 busy', measured, plan.windowMs)

  const added = Object.fromEntries(names.map((name) => [name, differencesOf(measured.cpu, name, 'ws')]))
  const share = (name: Contender) => ratiosOf(added, name, 'README recipe')
  report.verdict('CPU added by the heartbeat, busy peers, against the README recipe', share('peerpulse'), {
    atMost: 0.1,
  })
  report.verdict('the same of bare ws (A/A): the noise', share('ws again (A/A)'))
  report.verdict(
    'the same of peerpulse with its heartbeat off: the rest of it',
    share('peerpulse, heartbeat off'),
  )
  report.note(
    'The rest of it is the look at every connection once a second, for its buffers and its traffic, and the shared listener that notes when a peer spoke.',
  )
  report.write()
}
