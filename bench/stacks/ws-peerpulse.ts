import peerpulse, { type PeerpulseOptions } from 'peerpulse'
import type { Commands } from '../harness/worker-main.js'
import { listen } from './listen.js'
import { type Question, timesOf } from './questions.js'
import { websocketApp } from './websocket-app.js'

/** `ws` with peerpulse attached. */
export default async function start(options: PeerpulseOptions): Promise<Commands> {
  const { server, wss, commands } = websocketApp()
  const pulse = peerpulse({ drain: false, ...options })
  pulse.attach(server, wss)
  return listen(server, {
    ...commands,
    shutDown: () => pulse.drain(),
    timesOf: (question: Question, calls: number) => timesOf(pulse, question, calls),
  })
}
