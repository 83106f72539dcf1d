import { pairedMeasures } from './harness/measures.js'
import { Report } from './harness/report.js'
import { ratiosOf, spreadOf } from './harness/rounds.js'
import { Worker } from './harness/worker.js'

const rounds = 10
/** As many at every size, so that each sample is of the same work; a multiple of every size. */
const served = 2_000_000
const sizes = [1_000, 10_000, 100_000, 1_000_000]
/** The default interval of the heartbeat, 25 s. */
const periodTicks = 250

const orders = ['as they came', 'random order'] as const
type Order = (typeof orders)[number]

const nameOf = (size: number, order: Order) => `${size.toLocaleString('en')}, ${order}`
/** What the noise is: the same side once more. */
const again = (order: Order) => `${nameOf(10_000, order)}, again (A/A)`
const nsPerUs = 1_000

/** Nanoseconds of CPU per connection. */
async function side(connections: number, order: Order, workers: Worker[]) {
  const shuffled = order === 'random order'
  const worker = await Worker.start('stacks/wheel', { connections, periodTicks, shuffled })
  workers.push(worker)
  await worker.memory() // Collects what the making has left, so that no collection falls into a round.
  const nsOf = async (command: string) =>
    ((await worker.cpuDuring(() => worker.call(command, served))) / served) * nsPerUs
  const measure = async () => ({
    serve: await nsOf('serve'),
    touch: await nsOf('touch'),
    look: await nsOf('look'),
  })
  await measure()
  return measure
}

export async function run(): Promise<void> {
  const report = new Report('wheel', 'Does a tick cost more per connection with more connections?')
  const workers: Worker[] = []
  try {
    const sides: Record<string, Awaited<ReturnType<typeof side>>> = {}
    for (const order of orders) {
      for (const size of sizes) sides[nameOf(size, order)] = await side(size, order, workers)
      sides[again(order)] = await side(10_000, order, workers)
    }
    const { serve, touch, look } = await pairedMeasures(rounds, sides)

    for (const [name, values] of Object.entries(serve)) report.measure(`${name}: serve one`, 'ns', values)
    for (const order of orders)
      for (const size of sizes) {
        const name = nameOf(size, order)
        const usPerTick = (serve[name] ?? []).map((ns) => (ns * size) / periodTicks / nsPerUs)
        report.measure(`${name}: a tick`, 'us', usPerTick)
      }
    for (const [what, samples] of [
      ['touch', touch],
      ['look', look],
    ] as const)
      for (const order of orders)
        for (const size of sizes) {
          const name = nameOf(size, order)
          report.measure(`${name}: ${what}`, 'ns', samples[name] ?? [])
        }

    for (const order of orders) {
      const aa = spreadOf(ratiosOf(serve, again(order), nameOf(10_000, order))).median
      const growth = ratiosOf(serve, nameOf(1_000_000, order), nameOf(10_000, order))
      report.verdict(`CPU to serve one of 1,000,000 against one of 10,000, ${order}`, growth, {
        aa,
        atMost: 1.5,
      })
    }
    for (const [what, samples] of [
      ['to read a field of each and do nothing', touch],
      ["of the registry's look", look],
    ] as const)
      for (const order of orders) {
        const growth = ratiosOf(samples, nameOf(1_000_000, order), nameOf(10_000, order))
        report.verdict(`the same ${what}, ${order}`, growth)
      }
    for (const size of [10_000, 1_000_000]) {
      const name = nameOf(size, 'random order')
      const touches = touch[name] ?? []
      report.verdict(
        `CPU to serve one of ${name}, beyond reading a field of it`,
        (serve[name] ?? []).map((ns, round) => ns - (touches[round] ?? Number.NaN)),
        { unit: 'ns' },
      )
    }
    report.note(
      'Only the wheel and the registry: connections of peerpulse without sockets, that are put back on the wheel when they are due, once in 25 s. No policy is asked and nothing is sent; a ping costs about 10,000 ns more.',
    )
    report.note(
      '"As they came": due in the order in which they lie in the memory. "Random order": as if they had talked at random since. The steps are the same; what differs is how often the processor waits for the memory. "Touch" is the control: it reads a field of each in the same order, and does nothing else.',
    )
    report.note(
      'A round serves all at once, so up to 10,000 connections (2 MB) stay in the caches from tick to tick. On a server, the 100 ms between ticks throw many of them out.',
    )
    report.write()
  } finally {
    for (const worker of workers) await worker.stop()
  }
}
