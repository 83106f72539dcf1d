import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { writtenBytes } from '../../lib/transports/socket.js'
import { connectRaw, requestRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { heard, until } from '../support/wait.js'

const large = Buffer.alloc(8 * 1024 * 1024)
const small = Buffer.alloc(100)

for (const secure of [false, true]) {
  test(`${secure ? 'TLS' : 'TCP'}: what was written is counted as Node counts it`, async (t) => {
    const sockets: Socket[] = []
    const { server, port } = await startServer(t, (_, res) => void res.end('hello'), { secure })
    server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => {
      sockets.push(socket)
      assert.equal(writtenBytes(socket), socket.bytesWritten, 'at accept')
    })
    for (const end of ['reset', 'end', 'destroy'] as const) {
      const peer = await connectRaw(t, port, secure)
      await requestRaw(peer)
      const socket = sockets.at(-1) as Socket
      const check = (when: string) =>
        assert.equal(writtenBytes(socket), socket.bytesWritten, `${end}: ${when}`)
      check('after a response')
      assert.ok(writtenBytes(socket) > 0)
      peer.pause()
      socket.write(large)
      check('one write under way')
      socket.write(large)
      check('another behind it')
      for (let i = 0; i < 50; i++) socket.write(small)
      socket.cork()
      socket.write('latin', 'latin1')
      check('corked')
      socket.uncork()
      check('uncorked')
      peer.stream.resume()
      peer.tcp.resume()
      await until(() => {
        check('while it drains')
        return socket.writableLength === 0
      }, 'the queue to drain')
      check('drained')
      peer.pause()
      socket.write(large)
      socket.write(small)
      socket.on('error', () => check('at the error'))
      const closed = heard(socket, 'close')
      if (end === 'reset') peer.reset()
      else if (end === 'end') {
        socket.end()
        check('ended')
        peer.stream.resume()
        peer.tcp.resume()
        peer.end()
      } else socket.destroy()
      check('at its end')
      await closed
      check('closed')
    }
  })
}
