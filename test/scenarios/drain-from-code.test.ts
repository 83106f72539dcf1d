import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import fastify from 'fastify'
import { peerpulse } from 'peerpulse'
import { WebSocket, WebSocketServer } from 'ws'

const quick = { signals: [], readinessDelayMs: 0, spreadMs: 0 }

test("Fastify's preClose drains before its server is closed: a close frame, and the request in flight is answered", async (t) => {
  const app = fastify()
  let answer: (() => void) | undefined
  app.get('/slow', (_request, reply) => {
    answer = () => void reply.send('done')
  })
  const wss = new WebSocketServer({ server: app.server })
  const pulse = peerpulse({ drain: quick })
  pulse.attach(app.server, wss)
  pulse.on('drain:phase', ({ phase }) => phase === 'closing' && setImmediate(() => answer?.()))
  app.addHook('preClose', async () => {
    await pulse.drain('app.close()')
  })
  t.after(() => pulse.detach())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const client = new WebSocket(url.replace('http', 'ws'))
  await once(client, 'open')
  const closed = once(client, 'close')
  const slow = fetch(`${url}/slow`)
  while (answer === undefined) await new Promise(setImmediate)
  await app.close()
  assert.equal(await (await slow).text(), 'done')
  assert.equal(((await closed) as [number])[0], 1012)
})

test('a drain without servers, or with one that does not listen, ends, and leaves nothing', async () => {
  const pulse = peerpulse({ drain: quick })
  const report = await pulse.drain('nothing there')
  assert.deepEqual([report.connections, report.cut, report.deadlineExceeded], [{}, [], false])
  assert.equal(await pulse.drain('again'), report, 'draining twice is one drain')
  await pulse.detach()
  await assert.rejects(pulse.drain(), { code: 'PEERPULSE_ERR_DETACHED' })
})
