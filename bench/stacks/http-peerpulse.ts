import { createServer } from 'node:http'
import peerpulse from 'peerpulse'
import type { Commands } from '../harness/worker-main.js'
import { hello, listen } from './listen.js'

/** `node:http` with peerpulse attached and its middleware in front. */
export default async function start(): Promise<Commands> {
  const pulse = peerpulse({ drain: false })
  const watch = pulse.middleware()
  const server = createServer((req, res) => watch(req, res, () => hello(req, res)))
  pulse.attach(server)
  return listen(server)
}
