import { setTimeout as sleep } from 'node:timers/promises'
import { lineOf } from './harness/line-plot.js'
import { MemoryContainer } from './harness/memory-container.js'
import { MemoryWatch } from './harness/process-memory.js'
import { Report } from './harness/report.js'
import { Worker } from './harness/worker.js'
import type { Badness, Ramp } from './loads/bad-clients.js'
import type { Fates } from './loads/good-clients.js'
import type { Guarded } from './stacks/small-box.js'

const MiB = 1024 ** 2
const limitBytes = 256 * MiB
const seconds = Math.min(75, Number(process.env.PEERPULSE_BENCH_SECONDS ?? 75))
const pollMs = 500
/** The good ones are there before the bad ones. */
const startMs = 3_000

/** Slow readers keep coming; in the second third fast senders, and in the last a flood of requests come on top. */
const ramps: Record<Badness, Ramp> = {
  slowReader: { fromS: 0, everyMs: 500, most: 2 * seconds },
  fastMessages: { fromS: seconds / 3, everyMs: 1_500, most: 10 },
  fastUploads: { fromS: seconds / 3, everyMs: 1_500, most: 10 },
  flood: { fromS: (2 * seconds) / 3, everyMs: 250, most: 40 },
}

const sides = {
  nothing: { guard: 'none' },
  'under-pressure': {
    guard: 'under-pressure',
    options: { maxRssBytes: 0.8 * limitBytes, message: 'Under pressure!', retryAfter: 50 },
  },
  // It finds the limit by itself; without a container there is none to be found.
  peerpulse: { guard: 'peerpulse' },
}

interface Outcome {
  readonly watch: MemoryWatch
  readonly kind: string
  /** Seconds of the ramp that it lived, and how it ended if it did. */
  readonly livedS: number
  readonly ended: string | undefined
  readonly containerPeakBytes: number
  readonly fates: Fates
  readonly guarded: Guarded | undefined
}

async function runSide(name: keyof typeof sides): Promise<Outcome> {
  const container = MemoryContainer.make(limitBytes)
  const side: { guard: string; options?: object } = sides[name]
  const options =
    container === undefined && name === 'peerpulse'
      ? { ...side, options: { pressure: { memory: { limitBytes } } } }
      : side
  const workers: Worker[] = []
  try {
    const server = await Worker.start('stacks/small-box', options, [], container)
    workers.push(server)
    const port = await server.call<number>('port')
    const good = await Worker.start('loads/good-clients', { port, webSockets: 10, http: 10 })
    workers.push(good)
    const bad = await Worker.start('loads/bad-clients', { port })
    workers.push(bad)
    const watch = new MemoryWatch(
      server.pid,
      container === undefined ? limitBytes : undefined,
      () => void server.stop(),
    )
    try {
      await sleep(startMs)
      await bad.call('ramp', ramps)
      const began = performance.now()
      let livedS: number | undefined
      let guarded: Guarded | undefined
      void server.ended.then(() => {
        livedS = (performance.now() - began) / 1000
      })
      while (performance.now() - began < seconds * 1000) {
        await sleep(pollMs)
        if (name === 'peerpulse' && !server.hasEnded)
          guarded = await server.call<Guarded>('guarded').catch(() => guarded)
      }
      livedS ??= seconds
      return {
        watch,
        kind: container?.kind ?? 'supervised',
        livedS: Math.min(livedS, seconds),
        ended: server.hasEnded ? await server.ended : undefined,
        containerPeakBytes: container?.peakBytes ?? Number.NaN,
        fates: await good.call<Fates>('fates'),
        guarded,
      }
    } finally {
      watch.stop()
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()))
    await container?.remove()
  }
}

const failures = ({ late, reset, refused, other }: Fates) => late + reset + refused + other

export async function run(): Promise<void> {
  const report = new Report(
    'small-container',
    'Slow readers, fast senders and a flood against 256 MiB: who lives?',
    ['express', 'fastify', '@fastify/under-pressure', 'ws'],
  )
  const outcomes: [string, Outcome][] = []
  for (const name of Object.keys(sides) as (keyof typeof sides)[]) {
    outcomes.push([name, await runSide(name)])
    process.stderr.write('.')
  }
  report.plot({
    title: 'resident memory of the server',
    unit: 'MiB',
    lines: outcomes.map(([name, { watch, ended }]) =>
      lineOf(name, watch.seen, ended === undefined ? undefined : 'killed'),
    ),
    ceilings: [{ name: 'limit, 256 MiB', value: limitBytes / MiB }],
  })
  for (const [name, { livedS }] of outcomes) report.measure(`${name}: lived`, `s of ${seconds}`, [livedS])
  for (const [name, { watch }] of outcomes) report.measure(`${name}: max RSS`, 'MiB', [watch.peakBytes / MiB])
  for (const [name, { fates }] of outcomes) {
    report.measure(`${name}: answered, of what good clients asked`, 'answers', [fates.ok])
    report.measure(`${name}: told to come later`, 'answers', [fates.shed])
    report.measure(`${name}: failed`, 'answers', [failures(fates)])
  }
  for (const [name, { kind, ended, fates, guarded, containerPeakBytes }] of outcomes) {
    const end = ended === undefined ? 'lived' : `ended by ${ended}`
    report.note(
      `${name} (${kind}): ${end}. Good clients: ${JSON.stringify(fates)}. Most charged to the group: ${Math.round(containerPeakBytes / MiB)} MiB.${guarded === undefined ? '' : ` ${JSON.stringify(guarded)}`}`,
    )
    if (name !== 'peerpulse') continue
    report.verdict(
      'share of the ramp that peerpulse lives',
      outcomes.filter(([other]) => other === name).map(([, { livedS }]) => livedS / seconds),
      { atLeast: 1 },
    )
    report.verdict('level changes, peerpulse', [(guarded?.levelChanges ?? Number.NaN) / (seconds / 60)], {
      unit: 'a minute',
    })
  }
  report.note(
    '20 good clients ask five times a second each: 10 WebSockets for an echo, 10 for a small page. Failed is late (2 s), reset, refused by a machine on which nobody listens any more, and any other answer than 200 and 503. After a kill they go on asking: nothing restarts the server.',
  )
  report.note(
    'under-pressure knows of HTTP requests alone; WebSockets are served beside it, as its users do. Nobody counts what the kernel holds in its buffers: it is no part of RSS.',
  )
  report.write()
}
