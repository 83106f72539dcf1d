import { pairedMeasures } from './measures.js'
import type { Samples } from './rounds.js'
import type { Side } from './with-load.js'
import { Worker } from './worker.js'

export interface SteadyPlan {
  /** How often all processes are started anew: what one happens to be (its code's layout, what V8 made of it) must not decide. */
  readonly generations: number
  /** Rounds in each generation. */
  readonly rounds: number
}

/**
 * Paired rounds over servers and loads that stay up from round to round, for what is over too soon to start a process
 * for. `warmUp` has V8 compile what `measure` runs.
 */
export async function steadyRounds<M extends string>(
  { generations, rounds }: SteadyPlan,
  sides: Record<string, Side>,
  warmUp: (server: Worker, load: Worker) => Promise<unknown>,
  measure: (server: Worker, load: Worker) => Promise<Record<M, number>>,
): Promise<Record<M, Samples>> {
  const all: Record<string, Samples> = {}
  for (let generation = 0; generation < generations; generation++) {
    const workers: Worker[] = []
    try {
      const variants: Record<string, () => Promise<Record<M, number>>> = {}
      for (const [name, { stack, options, load, loadOptions }] of Object.entries(sides)) {
        const server = await Worker.start(`stacks/${stack}`, options)
        workers.push(server)
        const port = await server.call<number>('port')
        const loading = await Worker.start(`loads/${load}`, { port, ...loadOptions })
        workers.push(loading)
        await warmUp(server, loading)
        variants[name] = () => measure(server, loading)
      }
      for (const [what, samples] of Object.entries<Samples>(await pairedMeasures(rounds, variants))) {
        all[what] ??= {}
        for (const [name, values] of Object.entries(samples)) {
          all[what][name] ??= []
          all[what][name].push(...values)
        }
      }
    } finally {
      for (const worker of workers) await worker.stop()
    }
  }
  return all as Record<M, Samples>
}
