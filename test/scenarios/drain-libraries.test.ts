import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import nodeAdapter from 'crossws/adapters/node'
import { attach as attachEngine } from 'engine.io'
import { buildSchema } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { peerpulse } from 'peerpulse'
import { Server as SocketIo } from 'socket.io'
import { WebSocket, WebSocketServer } from 'ws'

interface Library {
  /** Serves WebSockets on a server; what `attach` is given beside it. */
  serve(server: Server): WebSocketServer | undefined
  readonly path: string
  readonly protocol?: string
  /** What a client says first, so that the library takes it for one of its own. */
  readonly hello?: string
}

const libraries: Record<string, Library> = {
  'socket.io': {
    serve: (server) => void new SocketIo(server, { transports: ['websocket'] }),
    path: '/socket.io/?EIO=4&transport=websocket',
    hello: '40',
  },
  'engine.io': {
    serve: (server) => void attachEngine(server, { transports: ['websocket'] }),
    path: '/engine.io/?EIO=4&transport=websocket',
  },
  'graphql-ws': {
    serve(server) {
      const wss = new WebSocketServer({ server })
      useServer({ schema: buildSchema('type Query { hello: String }') }, wss)
      return wss
    },
    path: '/',
    protocol: 'graphql-transport-ws',
    hello: '{"type":"connection_init"}',
  },
  crossws: {
    serve(server) {
      const { handleUpgrade } = nodeAdapter({
        hooks: { open: (peer) => void peer.send('hello'), error() {} },
      })
      server.on('upgrade', (req, socket, head) => handleUpgrade(req, socket, head))
      return undefined
    },
    path: '/',
  },
}

for (const [name, { serve, path, protocol, hello }] of Object.entries(libraries)) {
  test(`${name}: in a drain every client gets a close frame, and its window`, async (t) => {
    const server = createServer((_req, res) => res.end())
    const wss = serve(server)
    const pulse = peerpulse({
      drain: { signals: [], readinessDelayMs: 0, spreadMs: 200, closeTimeoutMs: 5_000 },
    })
    pulse.attach(server, ...(wss === undefined ? [] : [wss]))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(async () => {
      await pulse.detach()
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const clients = await Promise.all(
      Array.from({ length: 5 }, async () => {
        const client = new WebSocket(
          `ws://127.0.0.1:${port}${path}`,
          protocol === undefined ? [] : [protocol],
        )
        t.after(() => client.terminate())
        if (hello !== undefined) client.on('open', () => client.send(hello))
        // All of them greet who comes.
        await once(client, 'message')
        return client
      }),
    )
    const closes = clients.map((client) => once(client, 'close') as Promise<[number, Buffer]>)
    const report = await pulse.drain('deploy')
    for (const [code, reason] of await Promise.all(closes)) {
      assert.equal(code, 1012)
      assert.match(reason.toString(), /^drain; reconnect=0\.\.1000$/)
    }
    assert.deepEqual(report.connections.websocket, { closed: 5, terminated: 0 })
    assert.equal(report.ends.websocket?.onOurWord, 5)
  })
}
