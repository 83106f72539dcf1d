import { pairedRounds, type Samples } from './rounds.js'

/** As `pairedRounds`, for variants that measure several things at once: the samples of each of them. */
export async function pairedMeasures<M extends string>(
  rounds: number,
  variants: Record<string, () => Promise<Record<M, number>>>,
): Promise<Record<M, Samples>> {
  const samples: Record<string, Samples> = {}
  const oneOf = (name: string, measure: () => Promise<Record<M, number>>) => async () => {
    for (const [what, value] of Object.entries<number>(await measure())) {
      samples[what] ??= Object.fromEntries(Object.keys(variants).map((variant) => [variant, []]))
      samples[what][name]?.push(value)
    }
    return Number.NaN
  }
  await pairedRounds(
    rounds,
    Object.fromEntries(Object.entries(variants).map(([name, measure]) => [name, oneOf(name, measure)])),
  )
  return samples as Record<M, Samples>
}
