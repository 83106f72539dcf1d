import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import peerpulse from '../../lib/index.js'
import { startServer } from '../support/servers.js'
import { heard, pause, until } from '../support/wait.js'

/** The kernel's own word: whether the server's side of the connection to `peerPort` has a keepalive timer. */
function keepsAlive(serverPort: number, peerPort: number): boolean {
  return keepAliveTicks(serverPort, peerPort) !== undefined
}

/** When that timer runs out, in hundredths of a second. */
function keepAliveTicks(serverPort: number, peerPort: number): number | undefined {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0')
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((text) => text.trim().split(/\s+/))
    .find(([, local, peer]) => local?.endsWith(`:${hex(serverPort)}`) && peer?.endsWith(`:${hex(peerPort)}`))
  assert.ok(line !== undefined, 'the connection is there')
  const [kind, left = ''] = (line[5] ?? '').split(':')
  return kind === '02' ? Number.parseInt(left, 16) : undefined
}

const skip = process.platform !== 'linux' && 'asks /proc/net/tcp'

for (const secure of [false, true]) {
  test(`TCP keepalive is on soon after accept, and off after detach: ${secure ? 'https' : 'http'}`, {
    skip,
  }, async (t) => {
    const { server, port } = await startServer(t, undefined, { secure })
    const pulse = peerpulse({ drain: false })
    t.after(() => pulse.detach())
    pulse.attach(server)
    const peer = secure
      ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
      : connect({ port, host: '127.0.0.1' })
    t.after(() => peer.destroy())
    await heard(peer, secure ? 'secureConnect' : 'connect')
    const on = () => keepsAlive(port, peer.localPort as number)
    await until(on, 'keepalive')
    await pulse.detach()
    assert.equal(on(), false)
  })
}

test("the app's own keepalive stays as it is, also after detach", { skip }, async (t) => {
  const { server, port } = await startServer(t)
  server.on('connection', (socket) => socket.setKeepAlive(true, 5_000))
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  pulse.attach(server)
  const peer = connect({ port, host: '127.0.0.1' })
  t.after(() => peer.destroy())
  await heard(peer, 'connect')
  const ticks = () => keepAliveTicks(port, peer.localPort as number) ?? 0
  await pause(500)
  assert.ok(ticks() > 0 && ticks() <= 500, `${ticks()}`)
  await pulse.detach()
  assert.ok(ticks() > 0 && ticks() <= 500, `${ticks()}`)
})

test('a TLS handshake that takes long does not leave keepalive behind', { skip }, async (t) => {
  const { server, port } = await startServer(t, undefined, { secure: true })
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  pulse.attach(server)
  const tcp = connect({ port, host: '127.0.0.1' })
  t.after(() => tcp.destroy())
  await heard(tcp, 'connect')
  const { localPort } = tcp
  const on = () => keepsAlive(port, localPort as number)
  await pause(500)
  const secured = heard(server, 'secureConnection')
  const peer = connectTls({ socket: tcp, rejectUnauthorized: false })
  t.after(() => peer.destroy())
  await secured
  await until(on, 'keepalive')
  await pulse.detach()
  // While an acknowledgement is awaited, the kernel shows that timer instead.
  await pause(200)
  assert.equal(on(), false)
})
