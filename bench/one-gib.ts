import { type FeedPlan, type FeedResult, runFeed } from './harness/feed-run.js'
import { type Line, lineOf } from './harness/line-plot.js'
import { Report } from './harness/report.js'

const GiB = 1024 ** 3
const MiB = 1024 ** 2
/** `PEERPULSE_BENCH_SECONDS=60` is for trying out. */
const seconds = Number(process.env.PEERPULSE_BENCH_SECONDS ?? 600)
/** A run without bad clients is as steady after a minute as after ten. */
const baselineSeconds = Math.min(seconds, 60)
/** Bare `ws` is ended long before this. */
const bareSeconds = 120
const maxRssBytes = 256 * MiB

const clients = 100
const deaf = 50
const readers = clients - deaf

/** The box; everything else is by default, and the total budget a 16th of this: 64 MiB. */
const options = { pressure: { memory: { limitBytes: GiB } } }
const peerpulse = (plan: Pick<FeedPlan, 'readers' | 'deaf' | 'seconds'>): FeedPlan => ({
  plugin: 'peerpulse',
  options,
  killAtBytes: GiB,
  ...plan,
})

const line = (name: string, { memory, killedAfterS }: FeedResult): Line =>
  lineOf(name, memory.seen, killedAfterS === undefined ? undefined : 'ended at 1 GiB')
const p99s = ({ windows }: FeedResult) => windows.map(({ p99 }) => p99)
const rss = ({ memory }: FeedResult) => [memory.peakBytes / MiB]

export async function run(): Promise<void> {
  const report = new Report('one-gib', 'Half of 100 clients stop reading: what becomes of a box of 1 GiB?', [
    'ws',
  ])
  const alone = peerpulse({ readers, deaf: 0, seconds: baselineSeconds })
  const everybody = peerpulse({ readers: clients, deaf: 0, seconds: baselineSeconds })

  const before = await runFeed(alone)
  const allBefore = await runFeed(everybody)
  const bare = await runFeed({ plugin: 'none', readers, deaf, seconds: bareSeconds, killAtBytes: GiB })
  const bad = await runFeed(peerpulse({ readers, deaf, seconds }))
  const allAfter = await runFeed(everybody)
  const after = await runFeed(alone)

  report.plot({
    title: 'resident memory of the server',
    unit: 'MiB',
    lines: [line('ws', bare), line('peerpulse', bad), line('peerpulse, nobody bad', allBefore)],
    ceilings: [
      { name: '1 GiB', value: 1024 },
      { name: '256 MiB', value: 256 },
    ],
  })
  report.measure('ws: max RSS', 'MiB', rss(bare))
  report.measure('peerpulse, 100 good: max RSS', 'MiB', [...rss(allBefore), ...rss(allAfter)])
  report.measure('peerpulse, 50 of 100 bad: max RSS', 'MiB', rss(bad))
  report.measure('ws, 50 of 100 bad, until it was ended: p99 of 5 s', 'ms', p99s(bare))
  report.measure('peerpulse, the 50 good alone: p99 of 5 s', 'ms', [...p99s(before), ...p99s(after)])
  report.measure('peerpulse, 100 good: p99 of 5 s', 'ms', [...p99s(allBefore), ...p99s(allAfter)])
  report.measure('peerpulse, 50 of 100 bad: p99 of 5 s', 'ms', p99s(bad))

  report.verdict('bare ws: from when 50 stop reading to 1 GiB', [bare.killedAfterS ?? Number.NaN], {
    unit: 's',
  })
  report.verdict('max RSS with peerpulse', rss(bad), { unit: 'MiB', atMost: maxRssBytes / MiB })
  report.verdict('of 50 that stopped reading, closed as slow-consumer', [bad.closes['slow-consumer'] ?? 0], {
    unit: 'closed',
    atLeast: deaf,
  })
  report.verdict('messages lost by the 50 others', [bad.lost + (readers - bad.readersOpen)], {
    unit: 'messages',
    atMost: 0,
  })
  report.verdict(
    'p99 latency of those who read, against a run without bad clients',
    [before, allBefore, allAfter, after].map(({ latency }) => bad.latency.p99 / latency.p99),
    { atMost: 1.5 },
  )
  report.note(
    `The run with bad clients took ${seconds} s, those without ${baselineSeconds} s each: two before and two after, of them two with the 50 good clients alone and two with 100 good ones. The ratio is against each of them.`,
  )
  report.note(
    `Closed: ${JSON.stringify(bad.closes)}. ${bad.sent} messages went to the 50 that read. Longest delay: ${bad.latency.max.toFixed(0)} ms with bad clients, ${Math.max(before.latency.max, after.latency.max).toFixed(0)} ms with the 50 good ones alone.`,
  )
  report.note(
    'A message is as late as it is read after it was due; what the producer was held up is in it. Server, readers and bad clients are three processes on the same cores.',
  )
  report.write()
}
