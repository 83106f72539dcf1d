import { Report } from './harness/report.js'
import { differencesOf, pairedRounds, spreadOf } from './harness/rounds.js'
import { Worker } from './harness/worker.js'

const rounds = 8
/** In a busy process, where they follow each other. */
const readings = 300
/** At their interval they take 4 s. */
const pacedReadings = 8
/** While the pressure is above 0.5; below it, half of that. */
const mostPerSecond = 2
const msPerSecond = 1_000
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
    const paced = (which: string[]) => () =>
      worker.call<number>('atIntervals', which, pacedReadings, msPerSecond / mostPerSecond)
    const between = (which: string[]) => () => worker.call<number>('between', which, readings)
    const samples = await pairedRounds(rounds, {
      [all]: paced(names),
      [again]: paced(names),
      [none]: paced([]),
      [`busy: ${all}`]: between(names),
      [`busy: ${none}`]: between([]),
      ...Object.fromEntries(names.map((name) => [`busy: ${name}`, between([name])])),
      'all monitors, back to back': () => worker.call<number>('backToBack', names, readings),
    })
    report.measureAll('us', samples)

    const percentOf = (side: string, less = none) =>
      differencesOf(samples, side, less).map((us) => (us * mostPerSecond) / usPerPercentOfACore)
    report.verdict('CPU of all monitors, two readings a second', percentOf(all), {
      unit: '% of a core',
      atMost: 0.2,
    })
    report.verdict('the same again (A/A)', percentOf(again), { unit: '% of a core' })
    report.verdict('the same in a busy process', percentOf(`busy: ${all}`, `busy: ${none}`), {
      unit: '% of a core',
    })
    report.note(
      `One reading, from a process that does nothing but read them twice a second: whatever a reading touches has left the caches by then, and the processor has slept. In a busy one (a walk through 16 MiB before each reading, which is not counted) it costs less. "None" is what asking for the CPU costs; the verdicts are without it.`,
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
