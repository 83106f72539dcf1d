import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import peerpulse from '../../lib/index.js'
import { startServer } from '../support/servers.js'
import { heard, until } from '../support/wait.js'

/** The kernel's own word: whether the server's side of the connection to `peerPort` has a keepalive timer. */
function keepsAlive(serverPort: number, peerPort: number): boolean {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0')
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((text) => text.trim().split(/\s+/))
    .find(([, local, peer]) => local?.endsWith(`:${hex(serverPort)}`) && peer?.endsWith(`:${hex(peerPort)}`))
  assert.ok(line !== undefined, 'the connection is there')
  return line[5]?.startsWith('02:') === true
}

for (const secure of [false, true]) {
  test(`TCP keepalive is on soon after accept, and off after detach: ${secure ? 'https' : 'http'}`, {
    skip: process.platform !== 'linux' && 'asks /proc/net/tcp',
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
