/** A server whose first request imports peerpulse. Answers in which contexts its monitor was read. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const storage = new AsyncLocalStorage<string>()
const contexts = new Set<string>()
let isAttached = false

const server = createServer((_req, res) =>
  storage.run('request', async () => {
    if (!isAttached) {
      isAttached = true
      const { peerpulse } = await import('peerpulse')
      const read = () => void contexts.add(storage.getStore() ?? 'none')
      const pressure = { memory: false, warmUpMs: 0, monitors: [{ name: 'load', read }] } as const
      peerpulse({ drain: false, pressure }).attach(server)
    }
    res.end(`ticks in: ${[...contexts].join()}`)
  }),
)
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
