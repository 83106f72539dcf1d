/** One side of a comparison: measures itself once. */
export type Variants = Record<string, () => Promise<number>>
/** What each side measured, round by round. */
export type Samples = Record<string, number[]>

/**
 * Measures every variant once a round, in an order that turns from round to round, so that a machine that grows
 * slower or faster meanwhile does so for all of them.
 */
export async function pairedRounds(rounds: number, variants: Variants): Promise<Samples> {
  const names = Object.keys(variants)
  const samples: Samples = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(round + i) % names.length] as string
      samples[name]?.push(await (variants[name] as () => Promise<number>)())
    }
    process.stderr.write('.')
  }
  process.stderr.write('\n')
  return samples
}

export interface Spread {
  /** The median, and the first and third quartile. */
  readonly median: number
  readonly low: number
  readonly high: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b)
  return { median: quantile(sorted, 0.5), low: quantile(sorted, 0.25), high: quantile(sorted, 0.75) }
}

/** Of a sorted list, between its neighbours where it falls between two. */
export function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}

/** The ratio of two variants, taken within each round. */
export function ratiosOf(samples: Samples, of: string, to: string): number[] {
  return (samples[of] ?? []).map((value, round) => value / (samples[to]?.[round] ?? Number.NaN))
}

/** What each round measured of `of` beyond `less`. */
export function differencesOf(samples: Samples, of: string, less: string): number[] {
  return (samples[of] ?? []).map((value, round) => value - (samples[less]?.[round] ?? Number.NaN))
}

/** The mean of two variants, round by round. */
export function meansOf(samples: Samples, one: string, other: string): number[] {
  return (samples[one] ?? []).map((value, round) => (value + (samples[other]?.[round] ?? Number.NaN)) / 2)
}
