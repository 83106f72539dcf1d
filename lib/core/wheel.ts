import { tickMs } from './clock.js'

/** Something that a wheel can hold. The fields are the wheel's own; embedding them saves an object per connection. */
export interface WheelEntry {
  wheelDue: number
  wheelNext: WheelEntry | undefined
  wheelPrevious: WheelEntry | undefined
  due(): void
}

const slotCount = 1024
const slotMask = slotCount - 1
/**
 * Entries served in one turn. A ping takes about 10 us, nearly all of it the kernel's: 64 of them, and the pongs that
 * the poll phase then finds, keep a turn of the event loop near 1 ms (`npm run bench -- heartbeat`).
 */
export const maxPerTurn = 64

function ring(): WheelEntry {
  const head: WheelEntry = { wheelDue: 0, wheelNext: undefined, wheelPrevious: undefined, due() {} }
  head.wheelNext = head
  head.wheelPrevious = head
  return head
}

function append(head: WheelEntry, entry: WheelEntry): void {
  const last = head.wheelPrevious as WheelEntry
  entry.wheelNext = head
  entry.wheelPrevious = last
  last.wheelNext = entry
  head.wheelPrevious = entry
}

/**
 * A hashed timing wheel: putting in, moving and taking out are O(1), a turn costs what is due in it. An entry that is
 * due later than one lap (102 s) is passed over once a lap.
 */
export class Wheel {
  readonly #slots = Array.from({ length: slotCount }, ring)
  readonly #later = ring()
  readonly #onError: (error: unknown) => void
  /** The last tick that was served to its end. */
  #position = 0
  /** The tick that is being served: whatever is put in meanwhile comes later. */
  #serving = 0

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** Puts an entry in, or moves it, to be called at a credited time; `Infinity` takes it out. */
  schedule(entry: WheelEntry, at: number): void {
    this.cancel(entry)
    if (at === Number.POSITIVE_INFINITY) return
    entry.wheelDue = Math.max(Math.ceil(at / tickMs), this.#serving + 1)
    append(this.#slots[entry.wheelDue & slotMask] as WheelEntry, entry)
  }

  cancel(entry: WheelEntry): void {
    const { wheelNext, wheelPrevious } = entry
    if (wheelNext === undefined || wheelPrevious === undefined) return
    wheelPrevious.wheelNext = wheelNext
    wheelNext.wheelPrevious = wheelPrevious
    entry.wheelNext = undefined
    entry.wheelPrevious = undefined
  }

  /** Calls what is due at a credited time, up to a bound; `true`: there is more. */
  turn(now: number): boolean {
    const target = Math.floor(now / tickMs)
    let left = maxPerTurn
    while (this.#position < target) {
      const position = this.#position + 1
      this.#serving = position
      const head = this.#slots[position & slotMask] as WheelEntry
      for (let entry = head.wheelNext as WheelEntry; entry !== head; entry = head.wheelNext as WheelEntry) {
        this.cancel(entry)
        if (entry.wheelDue > position) {
          append(this.#later, entry)
          continue
        }
        this.#call(entry)
        if (--left === 0) break
      }
      for (
        let entry = this.#later.wheelNext as WheelEntry;
        entry !== this.#later;
        entry = this.#later.wheelNext as WheelEntry
      ) {
        this.cancel(entry)
        append(head, entry)
      }
      // A slot that was cut short is gone through again in the next turn.
      if (left === 0) return true
      this.#position = position
    }
    return false
  }

  /** What is due must not keep others from their turn. */
  #call(entry: WheelEntry): void {
    try {
      entry.due()
    } catch (error) {
      this.#onError(error)
    }
  }

  /** A call after a time; cancel it with `cancel(entry)`. */
  after(now: number, ms: number, run: () => void): WheelEntry {
    const entry: WheelEntry = { wheelDue: 0, wheelNext: undefined, wheelPrevious: undefined, due: run }
    this.schedule(entry, now + ms)
    return entry
  }
}
