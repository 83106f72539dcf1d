import { createServer } from 'node:http'
import type { Commands } from '../harness/worker-main.js'
import { hello, listen } from './listen.js'

/** `node:http` alone. */
export default async function start(): Promise<Commands> {
  return listen(createServer(hello))
}
