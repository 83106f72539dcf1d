import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, platform, release, totalmem } from 'node:os'
import type { LinePlot } from './line-plot.js'
import { picture } from './picture.js'
import { type Samples, type Spread, spreadOf } from './rounds.js'

const root = new URL('../../../', import.meta.url)
const results = new URL('bench/results/', root)

export interface Measure extends Spread {
  readonly what: string
  readonly unit: string
  readonly samples: readonly number[]
}

/** A result, and what it must keep to. */
export interface Verdict extends Spread {
  readonly what: string
  readonly unit: string
  /** What two identical sides showed in the same rounds; the verdict is the median less what this is above 1. */
  readonly aa?: number
  readonly net: number
  readonly atMost?: number
  readonly atLeast?: number
  readonly aim?: number
  readonly met?: boolean
}

export interface Bound {
  readonly unit?: string
  readonly aa?: number
  readonly atMost?: number
  readonly atLeast?: number
  readonly aim?: number
}

/** Collects what a bench measured, and writes it as JSON and as a picture. */
export class Report {
  readonly #name: string
  readonly #question: string
  readonly #packages: readonly string[]
  readonly #measures: Measure[] = []
  readonly #verdicts: Verdict[] = []
  readonly #notes: string[] = []
  #plot: LinePlot | undefined

  /** `packages`: whose versions matter. */
  constructor(name: string, question: string, packages: readonly string[] = []) {
    this.#name = name
    this.#question = question
    this.#packages = packages
  }

  measure(what: string, unit: string, values: readonly number[]): void {
    this.#measures.push({ what, unit, ...rounded(spreadOf(values)), samples: values.map(digits) })
  }

  measureAll(unit: string, samples: Samples): void {
    for (const [what, values] of Object.entries(samples)) this.measure(what, unit, values)
  }

  /** A figure with its limit: a ratio unless it has a unit. */
  verdict(what: string, values: readonly number[], bound: Bound = {}): void {
    const { aa, atMost, atLeast, aim } = bound
    const spread = rounded(spreadOf(values))
    const net = digits(aa === undefined ? spread.median : spread.median - (aa - 1))
    const met = atMost !== undefined ? net <= atMost : atLeast !== undefined ? net >= atLeast : undefined
    this.#verdicts.push({
      what,
      unit: bound.unit ?? 'ratio',
      ...spread,
      ...(aa !== undefined && { aa: digits(aa) }),
      net,
      ...(atMost !== undefined && { atMost }),
      ...(atLeast !== undefined && { atLeast }),
      ...(aim !== undefined && { aim }),
      ...(met !== undefined && { met }),
    })
  }

  /** Something over time, above the bars of the picture. */
  plot(plot: LinePlot): void {
    this.#plot = plot
  }

  note(text: string): void {
    this.#notes.push(text)
  }

  /** Prints it, and writes `results/<name>.json` and `results/<name>.svg`. */
  write(): void {
    const result = {
      bench: this.#name,
      question: this.#question,
      date: new Date().toISOString().slice(0, 10),
      machine: machine(),
      versions: { node: process.versions.node, peerpulse: versionAtWork(), ...this.#versions() },
      verdicts: this.#verdicts,
      measures: this.#measures,
      ...(this.#plot !== undefined && { plot: this.#plot }),
      notes: this.#notes,
    }
    mkdirSync(results, { recursive: true })
    writeFileSync(new URL(`${this.#name}.json`, results), `${JSON.stringify(result, undefined, 2)}\n`)
    writeFileSync(
      new URL(`${this.#name}.svg`, results),
      picture(this.#question, this.#measures, this.#verdicts, this.#plot),
    )
    this.#print()
  }

  #print(): void {
    console.log(`\n${this.#name}: ${this.#question}`)
    console.table(
      this.#measures.map(({ what, unit, median, low, high }) => ({ what, median, low, high, unit })),
    )
    if (this.#verdicts.length > 0) {
      console.table(
        this.#verdicts.map(({ what, unit, net, low, high, aa, atMost, atLeast, met }) => ({
          what,
          net,
          low,
          high,
          'A/A': aa ?? '',
          limit: atMost !== undefined ? `<= ${atMost}` : atLeast !== undefined ? `>= ${atLeast}` : '',
          met: met === undefined ? '' : met ? 'yes' : 'NO',
          unit,
        })),
      )
    }
    for (const note of this.#notes) console.log(note)
  }

  #versions(): Record<string, string> {
    const require = createRequire(import.meta.url)
    const versionOf = (name: string) => {
      const manifest = new URL(`node_modules/${name}/package.json`, root)
      return (require(manifest.pathname) as { version: string }).version
    }
    return Object.fromEntries(this.#packages.map((name) => [name, versionOf(name)]))
  }
}

function machine(): object {
  const [cpu] = cpus()
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    system: `${platform()} ${release()}`,
  }
}

/** The commit measured, since the version alone says little between releases. */
function versionAtWork(): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { version: string }
  try {
    const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      cwd: root,
      encoding: 'utf8',
    }).trim()
    return `${version} (${commit})`
  } catch {
    return version
  }
}

function rounded({ median, low, high }: Spread): Spread {
  return { median: digits(median), low: digits(low), high: digits(high) }
}

/** Four digits say more than was measured. */
function digits(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4))
}
