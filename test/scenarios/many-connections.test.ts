import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { until } from '../support/wait.js'
import { startServerProcess } from './support.js'

/** What the machine lets one process open, less what it needs besides. */
const fdLimit =
  Number(execFileSync('sh', ['-c', 'ulimit -Hn']).toString().trim().replace('unlimited', '1000000')) - 500
const count = Math.min(10_000, fdLimit)

const handshake =
  'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

test(`${count} idle WebSockets from one address, as fast as they can, under default options`, async (t) => {
  const server = await startServerProcess({})
  t.after(() => server.kill())
  if (count < 10_000) t.diagnostic(`the limit on open files allows ${count} connections only`)
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  let accepted = 0
  let refused = 0
  let lost = 0
  const lines: string[] = []
  for (let i = 0; i < count; i++) {
    const socket = connect(server.port, '127.0.0.1', () => socket.write(handshake))
    socket.once('data', (data) => {
      const line = data.toString('latin1').split('\r\n', 1)[0] ?? ''
      if (line === 'HTTP/1.1 101 Switching Protocols') accepted++
      else {
        refused++
        lines.push(line)
      }
    })
    socket.on('close', () => lost++)
    socket.on('error', () => {})
    sockets.push(socket)
  }
  await until(() => accepted + refused + lost >= count, 'all are answered', 120_000)
  assert.deepEqual(
    { accepted, refused, lost, lines: lines.slice(0, 3) },
    { accepted: count, refused: 0, lost: 0, lines: [] },
  )
  const report = await server.ask({ do: 'report' })
  assert.equal(report.open, count)
  assert.deepEqual(report.closes, {})
  assert.equal(report.shed, 0)
})
