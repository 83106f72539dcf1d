import { tickMs } from './clock.js'

/** Something that a wheel can hold. The fields are the wheel's own; embedding them saves an object per connection. */
export interface WheelEntry {
  /** The tick at which it is due. */
  wheelDue: number
  /** Its place in that tick's slot; `-1`: it is not on the wheel. */
  wheelIndex: number
  due(): void
}

const slotCount = 1024
const slotMask = slotCount - 1
/**
 * Entries served in one turn. A ping takes about 10 us, nearly all of it the kernel's: 64 of them, and the pongs that
 * the poll phase then finds, keep a turn of the event loop near 1 ms (`npm run bench -- heartbeat`).
 */
export const maxPerTurn = 64
/** A wheel this far behind serves more in a turn: a busy loop turns too seldom for slices of 64 to keep up. */
const lateTicks = 10

/**
 * A hashed timing wheel: putting in, moving and taking out are O(1), a turn costs what is due in it. An entry that is
 * due later than one lap (102 s) is passed over once a lap.
 *
 * A slot is an array, not the usual list: with a million entries nearly all of the time is spent on waiting for the
 * memory, and a list has an entry's neighbours fetched as well (`npm run bench -- wheel`).
 */
export class Wheel {
  readonly #slots: WheelEntry[][] = Array.from({ length: slotCount }, () => [])
  readonly #onError: (error: unknown) => void
  /** The last tick that was served to its end. */
  #position = 0
  /** The tick that is being served: whatever is put in meanwhile comes later. */
  #serving = 0
  /** Where the last turn stopped in the slot that is being served; what lies above was seen. */
  #seenDownTo: number | undefined

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** Puts an entry in, or moves it, to be called at a credited time; `Infinity` takes it out. */
  schedule(entry: WheelEntry, at: number): void {
    this.cancel(entry)
    if (at === Number.POSITIVE_INFINITY) return
    entry.wheelDue = Math.max(Math.ceil(at / tickMs), this.#serving + 1)
    const slot = this.#slotOf(entry.wheelDue)
    entry.wheelIndex = slot.length
    slot.push(entry)
  }

  cancel(entry: WheelEntry): void {
    const { wheelIndex } = entry
    if (wheelIndex === -1) return
    entry.wheelIndex = -1
    const slot = this.#slotOf(entry.wheelDue)
    const last = slot.pop() as WheelEntry
    if (last === entry) return
    slot[wheelIndex] = last
    last.wheelIndex = wheelIndex
  }

  /** Calls what is due at a credited time, up to a bound; `true`: there is more. */
  turn(now: number): boolean {
    const target = Math.floor(now / tickMs)
    let left = maxPerTurn * Math.ceil((target - this.#position) / lateTicks)
    while (this.#position < target) {
      this.#serving = this.#position + 1
      const slot = this.#slotOf(this.#serving)
      // Downwards: what is taken out or put in meanwhile moves only what was seen already.
      for (let i = this.#seenDownTo ?? slot.length; --i >= 0; ) {
        const entry = slot[i]
        // What was called has taken others out: the slot may be shorter than it was.
        if (entry === undefined || entry.wheelDue > this.#serving) continue
        if (left-- === 0) {
          this.#seenDownTo = i + 1
          return true
        }
        this.cancel(entry)
        this.#call(entry)
      }
      this.#seenDownTo = undefined
      this.#position = this.#serving
    }
    return false
  }

  /** A call after a time; cancel it with `cancel(entry)`. */
  after(now: number, ms: number, run: () => void): WheelEntry {
    const entry: WheelEntry = { wheelDue: 0, wheelIndex: -1, due: run }
    this.schedule(entry, now + ms)
    return entry
  }

  #slotOf(tick: number): WheelEntry[] {
    return this.#slots[tick & slotMask] as WheelEntry[]
  }

  /** What is due must not keep others from their turn. */
  #call(entry: WheelEntry): void {
    try {
      entry.due()
    } catch (error) {
      this.#onError(error)
    }
  }
}
