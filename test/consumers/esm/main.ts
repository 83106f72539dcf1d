import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import fallback, { type CloseReason, type Connection, peerpulse } from 'peerpulse'

assert.equal(fallback, peerpulse)

const server = createServer((_req, res) => res.end('hello'))
const pulse = peerpulse({ drain: { signals: ['SIGTERM'] }, idle: { websocketMs: 60_000 } })
const reasons: (CloseReason | undefined)[] = []
pulse.on('connection:close', (connection: Connection) => reasons.push(connection.closeReason))

assert.equal(pulse.attach(server), server)
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const address = server.address()
assert.ok(typeof address === 'object' && address !== null)
const url = `http://127.0.0.1:${address.port}`

const answer = await fetch(url, { headers: { connection: 'close' } })
assert.equal(await answer.text(), 'hello')
const probe = await fetch(`${url}/readyz`, { headers: { connection: 'close' } })
assert.equal(probe.status, 200)
assert.equal(await probe.text().then((text) => JSON.parse(text).status), 'pass')
while (reasons.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
assert.deepEqual(reasons, ['peer-closed', 'peer-closed'])

await pulse.detach()
assert.equal(process.listenerCount('SIGTERM'), 0)
await new Promise((resolve) => server.close(resolve))
console.log('the ESM consumer is content')
