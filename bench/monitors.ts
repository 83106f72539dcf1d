import { Report } from './harness/report.js'
import { differencesOf, pairedRounds, spreadOf } from './harness/rounds.js'
import { Worker } from './harness/worker.js'

const rounds = 15
const readings = 300
/** While the pressure is above 0.5; below it, half of that. */
const mostPerSecond = 2
const usPerPercentOfACore = 10_000

const all = 'all monitors'
const again = 'all monitors again (A/A)'
const none = 'none (control)'

export async function run(): Promise<void> {
  const report = new Report('monitors', 'What does it cost to read the monitors?')
  const worker = await Worker.start('stacks/monitors')
  try {
    const names = await worker.call<string[]>('names')
    const group = await worker.call<{ isReal: boolean; version: string }>('group')
    const between = (which: string[]) => () => worker.call<number>('between', which, readings)
    const samples = await pairedRounds(rounds, {
      [all]: between(names),
      [again]: between(names),
      [none]: between([]),
      ...Object.fromEntries(names.map((name) => [name, between([name])])),
      'all monitors, back to back': () => worker.call<number>('backToBack', names, readings),
    })
    report.measureAll('us', samples)

    const percentOf = (side: string) =>
      differencesOf(samples, side, none).map((us) => (us * mostPerSecond) / usPerPercentOfACore)
    report.verdict('CPU of all monitors, two readings a second', percentOf(all), {
      unit: '% of a core',
      atMost: 0.2,
    })
    report.verdict('the same again (A/A)', percentOf(again), { unit: '% of a core' })
    report.note(
      `A sample is the mean CPU of ${readings} readings, each after a walk through 16 MiB that is not counted, so that little of them is left in the caches. "None" is what asking for the CPU costs; the verdict is without it. One monitor alone costs more than its share of all, as each finds the caches empty.`,
    )
    report.note(
      `The container is ${group.isReal ? `the process' own control group (cgroup ${group.version}), with a limit so low that memory.stat is read too` : 'recorded files in a folder, as this machine has no memory controller to read'}. Where the kernel has many groups in a group, memory.stat costs more.`,
    )
    report.note(
      `Below a pressure of 0.5 the monitors are read once a second: ${spreadOf(percentOf(all).map((percent) => percent / 2)).median.toPrecision(2)} % of a core.`,
    )
    report.write()
  } finally {
    await worker.stop()
  }
}
