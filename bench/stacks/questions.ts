import { setTimeout as sleep } from 'node:timers/promises'
import type { Peerpulse } from 'peerpulse'

/** What an app asks a pulse: for a page of its own, for its metrics, or after an incident. */
const questions = {
  'snapshot()': (pulse: Peerpulse) => pulse.snapshot(),
  'snapshot() as JSON': (pulse: Peerpulse) => JSON.stringify(pulse.snapshot()),
  'history()': (pulse: Peerpulse) => pulse.history(),
  'history() as JSON': (pulse: Peerpulse) => JSON.stringify(pulse.history()),
}
export type Question = keyof typeof questions

/** Between two calls the server does other work, as it does between two that anybody makes. */
const pauseMs = 10

/** Milliseconds of each call, which are those for which the loop stops. */
export async function timesOf(pulse: Peerpulse, question: Question, calls: number): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < calls; i++) {
    await sleep(pauseMs)
    const began = performance.now()
    questions[question](pulse)
    times.push(performance.now() - began)
  }
  return times
}
