import { setTimeout as sleep } from 'node:timers/promises'
import { pairedMeasures } from './harness/measures.js'
import { Report } from './harness/report.js'
import { quantile } from './harness/rounds.js'
import { type Side, withLoad } from './harness/with-load.js'

const rounds = 3
const connections = 10_000
const dead = 500
const heartbeat = { intervalMs: 3_000, timeoutMs: 2_000 }
const dueMs = heartbeat.intervalMs + heartbeat.timeoutMs
/** Long enough for a recipe that needs two intervals and a bit. */
const waitMs = 3 * heartbeat.intervalMs
const tickMs = 100
/** Until everybody was pinged at least once, and the pings of those who came together have spread. */
const settleMs = 2 * heartbeat.intervalMs
/** Below the backlog of the server: beyond it, the kernel has peers knock again a second later. */
const burst = 4_000

const load = 'dying-websockets'
const peerpulse: Side = { stack: 'ws-peerpulse', options: { heartbeat }, load }
const recipe: Side = { stack: 'ws-readme', options: heartbeat, load }

type Course = 'steady' | 'burst' | 'lock-step'

/**
 * How late the dead were found, in milliseconds. `steady`: they die when everybody has a rhythm of his own. `burst`:
 * everybody came at once, and they die within an interval of it. `lock-step`: everybody spoke in one instant, and for
 * them it was the last word.
 */
function lateness(side: Side, course: Course) {
  return () =>
    withLoad(
      { ...side, ...(course === 'burst' && { loadOptions: { concurrency: burst } }) },
      async (_server, load) => {
        await load.call('connect', connections)
        if (course !== 'burst') await sleep(settleMs)
        if (course === 'lock-step') {
          // A recipe's one timer may be anywhere in its interval when they speak.
          await sleep(Math.random() * heartbeat.intervalMs)
          await load.call('sayTogether')
        }
        await load.call('die', dead, course === 'lock-step' ? 0 : heartbeat.intervalMs)
        const silences = await load.call<number[]>('silences', waitMs)
        const late = silences.map((silence) => silence - dueMs).sort((a, b) => a - b)
        return {
          p50: quantile(late, 0.5),
          p99: quantile(late, 0.99),
          earliest: quantile(late, 0),
          missed: dead - silences.length,
          lost: connections - silences.length - (await load.call<number>('open')),
        }
      },
    )
}

export async function run(): Promise<void> {
  const report = new Report('detect', 'How late is a dead peer found?', ['ws'])
  const measured = await pairedMeasures(rounds, {
    peerpulse: lateness(peerpulse, 'steady'),
    'peerpulse again (A/A)': lateness(peerpulse, 'steady'),
    'peerpulse, all connected at once': lateness(peerpulse, 'burst'),
    'peerpulse, last words in lock-step': lateness(peerpulse, 'lock-step'),
    'README recipe': lateness(recipe, 'steady'),
    'README recipe, last words in lock-step': lateness(recipe, 'lock-step'),
  })
  for (const what of ['p50', 'p99', 'earliest'] as const)
    for (const [name, values] of Object.entries(measured[what]))
      report.measure(`${name}: ${what}`, 'ms late', values)
  for (const [what, said] of [
    ['missed', 'dead peers were not found'],
    ['lost', 'healthy peers were cut off'],
  ] as const)
    for (const [name, counts] of Object.entries(measured[what]))
      if (Math.max(...counts) > 0) report.note(`${name}: up to ${Math.max(...counts)} ${said} in a round.`)

  const ticks = (what: 'p99' | 'earliest', name: string) =>
    (measured[what][name] ?? []).map((ms) => ms / tickMs)
  const bound = { unit: 'ticks', atMost: 1 }
  const found = 'dead peer found later than interval + timeout, p99, in ticks of 100 ms'
  report.verdict(found, ticks('p99', 'peerpulse'), bound)
  report.verdict('the same of the A/A side', ticks('p99', 'peerpulse again (A/A)'), { unit: 'ticks' })
  report.verdict('the same, all connected at once', ticks('p99', 'peerpulse, all connected at once'), bound)
  report.verdict(
    'the same, last words in lock-step',
    ticks('p99', 'peerpulse, last words in lock-step'),
    bound,
  )
  const courses = Object.keys(measured.earliest).filter((name) => name.startsWith('peerpulse'))
  const earliest = Array.from({ length: rounds }, (_, round) =>
    Math.min(...courses.map((name) => ticks('earliest', name)[round] ?? Number.NaN)),
  )
  report.verdict('the earliest of all', earliest, { unit: 'ticks' })
  report.note(
    'A byte counts as seen at the last tick before it, and time is rounded to ticks: a peer may be found up to a tick and a half before its time.',
  )
  report.note(
    `Interval ${heartbeat.intervalMs} ms, timeout ${heartbeat.timeoutMs} ms: late is later than ${dueMs} ms after the last byte. The README recipe has no timeout, it waits another interval.`,
  )
  report.write()
}
