import { getHeapStatistics } from 'node:v8'
import { Canary, collectGarbage } from './collection.js'

const MiB = 1024 * 1024
/** The least share of what JavaScript holds that a collection should find dead. */
const leastGain = 0.1

/** What is resident, and what of it JavaScript uses or has not been collected yet: heap and Buffers. */
export interface MemoryReading {
  readonly rssBytes: number
  readonly usedBytes: number
  /** What V8 has taken for it, also where it is free again: a burst is over sooner than anybody looks. */
  readonly takenBytes?: number
}

/** What a collection has brought. */
export interface Collected {
  /** `false`: V8 had just done it by itself, or cannot be asked. */
  readonly forced: boolean
  readonly tookMs: number
  /** Whether there was enough garbage for it. */
  readonly isWorthIt: boolean
  readonly before: MemoryReading
  readonly after: MemoryReading
  /** What V8 and the allocator keep for the next burst. */
  readonly keptBytes: number
}

function readMemory(): MemoryReading {
  const { used_heap_size, total_heap_size, external_memory } = getHeapStatistics()
  return {
    rssBytes: process.memoryUsage.rss(),
    usedBytes: used_heap_size + external_memory,
    takenBytes: total_heap_size + external_memory,
  }
}

/**
 * Memory that is resident and that nobody uses: V8 and the allocator keep what a burst needed, often for ever. No refusal
 * cures it, and the next burst takes it before the process grows.
 *
 * It is counted only after a collection, and only as far as there is evidence for it: JavaScript must have held it since
 * the memory was last calm, and the process must be larger than what it uses by more than it was then. So what native
 * code takes, sessions of TLS or images, is counted only where JavaScript gave back as much meanwhile.
 */
export class KeptMemory {
  /** Counts collections; 0 while nothing is told apart. */
  epoch = 0
  readonly #onCollected: (collected: Collected) => void
  readonly #read: () => MemoryReading
  readonly #collectGarbage: () => boolean
  #peakBytes = 0
  /** Least that was resident beside what JavaScript held: code, native memory. */
  #otherBytes = Number.POSITIVE_INFINITY
  #highest = 0
  #usedBytes = 0
  #canary = new Canary()
  /** Readings since V8 has collected; it was before the first of them. */
  #readingsSince = 0
  #collections = 0

  constructor(
    onCollected: (collected: Collected) => void = () => {},
    read: () => MemoryReading = readMemory,
    collect: () => boolean = collectGarbage,
  ) {
    this.#onCollected = onCollected
    this.#read = read
    this.#collectGarbage = collect
  }

  get bytes(): number {
    return this.epoch === 0 ? 0 : this.#keptOf(this.#read())
  }

  /** A collection takes about a millisecond for each MiB that is alive. */
  get expectedMs(): number {
    return this.#usedBytes / MiB
  }

  /** A monitor's reading of memory, with nothing left out. */
  note(pressure: number): void {
    this.#highest = Math.max(this.#highest, pressure)
  }

  /** Between the readings too: what JavaScript held for a moment may stay resident for good. */
  sample(): void {
    const { rssBytes, usedBytes, takenBytes = usedBytes } = this.#read()
    this.#usedBytes = usedBytes
    this.#peakBytes = Math.max(this.#peakBytes, takenBytes)
    this.#otherBytes = Math.min(this.#otherBytes, Math.max(0, rssBytes - usedBytes))
  }

  /** Called after every reading of the monitors. Below `calm` nothing has to be told apart. */
  turn(calm: number): void {
    if (this.#highest < calm) {
      this.epoch = 0
      this.#peakBytes = 0
      this.#otherBytes = Number.POSITIVE_INFINITY
    }
    this.sample()
    this.#highest = 0
    if (this.#canary.isDead) {
      this.#canary = new Canary()
      this.#readingsSince = 0
    } else this.#readingsSince++
  }

  /** Has what is dead collected, unless V8 has just done it, and tells kept memory apart from then on. `thorough`: it may stop the loop twice. */
  collect(thorough = true): Collected {
    const before = this.#read()
    const began = performance.now()
    const isWorthIt = (after: MemoryReading) => after.usedBytes <= before.usedBytes * (1 - leastGain)
    const forced = this.#readingsSince > 0 && this.#collectGarbage()
    let after = this.#read()
    // What died while V8 was marking is found by the next collection only.
    if (thorough && forced && !isWorthIt(after) && this.#collectGarbage()) after = this.#read()
    const tookMs = Math.round(performance.now() - began)
    this.epoch = ++this.#collections
    const keptBytes = this.#keptOf(after)
    const collected = { forced, isWorthIt: !forced || isWorthIt(after), tookMs, before, after, keptBytes }
    this.#onCollected(collected)
    return collected
  }

  #keptOf({ rssBytes, usedBytes }: MemoryReading): number {
    return Math.max(0, Math.min(rssBytes - usedBytes - this.#otherBytes, this.#peakBytes - usedBytes))
  }
}

/** As the log says it. */
export function describeCollected({ forced, tookMs, before, after, keptBytes }: Collected): string {
  const inMiB = (bytes: number) => `${Math.round(bytes / MiB)} MiB`
  const how = forced ? `garbage was collected in ${tookMs} ms` : 'V8 has collected garbage'
  return `under pressure of memory ${how}: JavaScript holds ${inMiB(after.usedBytes)} (before ${inMiB(before.usedBytes)}), ${inMiB(after.rssBytes)} are resident, of them ${inMiB(keptBytes)} kept without use`
}

/**
 * What one monitor leaves out of its reading. Memory that is really kept is used again before anything grows: growth since
 * the collection shows that it is not. So less is left out the more has grown, and nothing once half of the room
 * that there was is gone. The limit itself is never reached by trusting too much.
 */
export class KeptShare {
  bytes = 0
  readonly #kept: KeptMemory
  readonly #leastWindowBytes: number
  #epoch = 0
  #plateauBytes = 0

  /** `leastWindowBytes`: growth that takes the trust away where there is hardly any room, or none. */
  constructor(kept: KeptMemory, leastWindowBytes = MiB) {
    this.#kept = kept
    this.#leastWindowBytes = leastWindowBytes
  }

  /** What is needed of `rawBytes`, all that is counted against `limitBytes`. */
  needed(rawBytes: number, limitBytes: number): number {
    const { epoch } = this.#kept
    this.#kept.note(rawBytes / limitBytes)
    this.#plateauBytes = epoch === this.#epoch ? Math.min(this.#plateauBytes, rawBytes) : rawBytes
    this.#epoch = epoch
    const windowBytes = Math.max(this.#leastWindowBytes, (limitBytes - this.#plateauBytes) / 2)
    const trust = Math.max(0, 1 - (rawBytes - this.#plateauBytes) / windowBytes)
    this.bytes = Math.round(Math.min(rawBytes, this.#kept.bytes) * trust)
    return rawBytes - this.bytes
  }
}
