import { lineOf } from './harness/line-plot.js'
import { Report } from './harness/report.js'
import { Worker } from './harness/worker.js'

const rounds = 3
const clients = 2_000
/** The default `drain.spreadMs`, which is the reconnect window too. */
const windowMs = 5_000
/** A client library's own delay, without jitter. */
const fixedMs = 3_000
const mostMs = 30_000
const stepMs = 250

interface Plan {
  readonly stack: 'ws-peerpulse' | 'ws-bare'
  readonly wait: 'window' | number
}

/** One instance is restarted, its clients come back to the other; when each came, in ms after the first. */
async function restart({ stack, wait }: Plan): Promise<number[]> {
  const drain = { readinessDelayMs: 0, spreadMs: windowMs }
  const workers: Worker[] = []
  const start = async (path: string, options: object) => {
    const worker = await Worker.start(path, options)
    workers.push(worker)
    return worker
  }
  try {
    const old = await start(`stacks/${stack}`, stack === 'ws-peerpulse' ? { drain } : {})
    const next = await start('stacks/ws-bare', {})
    const ports = { port: await old.call<number>('port'), nextPort: await next.call<number>('port') }
    const load = await start('loads/returning-websockets', { ...ports, wait })
    await load.call('connect', clients)
    await old.call('shutDown')
    const returns = await load.call<number[]>('returns', clients, mostMs)
    if (returns.length < clients) throw new Error(`only ${returns.length} of ${clients} came back`)
    return returns
  } finally {
    for (const worker of workers) await worker.stop()
  }
}

/** The most in any second. */
function peakOf(returns: readonly number[]): number {
  const sorted = [...returns].sort((a, b) => a - b)
  let peak = 0
  let from = 0
  for (let to = 0; to < sorted.length; to++) {
    while ((sorted[to] as number) - (sorted[from] as number) >= 1_000) from++
    peak = Math.max(peak, to - from + 1)
  }
  return peak
}

/** How many came in each step, as a rate a second. */
function rates(returns: readonly number[]): { atS: number; value: number }[] {
  const counts: number[] = []
  for (const at of returns) {
    const step = Math.floor(at / stepMs)
    counts[step] = (counts[step] ?? 0) + 1
  }
  return Array.from(counts, (count = 0, step) => ({
    atS: (step * stepMs) / 1_000,
    value: (count * 1_000) / stepMs,
  }))
}

export async function run(): Promise<void> {
  const report = new Report('stampede', 'One instance is restarted: how do 2,000 clients come back?', ['ws'])
  const plans: Record<string, Plan> = {
    'peerpulse, clients that honour the window': { stack: 'ws-peerpulse', wait: 'window' },
    'peerpulse, clients that wait 3 s': { stack: 'ws-peerpulse', wait: fixedMs },
    'closed by hand, clients that wait 3 s': { stack: 'ws-bare', wait: fixedMs },
  }
  const peaks: Record<string, number[]> = {}
  const latest: Record<string, number[]> = {}
  for (let round = 0; round < rounds; round++) {
    for (const [name, plan] of Object.entries(plans)) {
      const returns = await restart(plan)
      peaks[name] ??= []
      peaks[name].push(peakOf(returns))
      latest[name] = returns
      process.stderr.write('.')
    }
  }
  report.measureAll('reconnects a second, at most', peaks)
  const ideal = clients / (windowMs / 1_000)
  report.verdict(
    'peak of reconnects a second, against clients / window',
    (peaks['peerpulse, clients that honour the window'] ?? []).map((peak) => peak / ideal),
    { atMost: 2 },
  )
  report.plot({
    title: 'Reconnects',
    unit: 'a second',
    lines: Object.entries(latest).map(([name, returns]) =>
      lineOf(name.startsWith('peerpulse, clients that honour') ? 'peerpulse' : name, rates(returns)),
    ),
    ceilings: [{ name: 'ideal', value: ideal }],
  })
  report.note(
    `The close frames are spread over ${windowMs} ms, and each names a window as long: the clients come back over twice that time. A client's fixed delay keeps the spread of the closes, and nothing else.`,
  )
  report.write()
}
