import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { Peer, packageRoot, startExample } from '../support/example-process.js'
import { ask } from '../support/probe-client.js'
import { inTime } from '../support/wait.js'

const ca = readFileSync(join(packageRoot, 'examples/https/example-only.cert.pem'))

/** The certificate is checked, not waved through. */
async function get(url: string): Promise<{ status: number | undefined; text: string }> {
  const req = request(url, { ca, agent: false }).end()
  const [res] = await inTime(once(req, 'response'), `answer to ${url}`)
  let text = ''
  for await (const chunk of res) text += chunk
  return { status: res.statusCode, text }
}

test('https: requests, probes and wss', async () => {
  await using example = await startExample('https')
  const { url } = example
  assert.match(url, /^https:/)
  const { connection, protocol } = JSON.parse((await get(`${url}/`)).text)
  assert.equal(typeof connection, 'number')
  assert.equal(protocol, 'http1')
  for (const probe of ['livez', 'readyz', 'startupz']) {
    const answer = await get(`${url}/${probe}`)
    assert.equal(answer.status, 200, probe)
    assert.equal(JSON.parse(answer.text).status, 'pass')
  }
  using peer = await Peer.connect(example.webSocketUrl('/'), { ca })
  peer.send('over tls')
  assert.equal(await peer.next(/./), 'over tls')
  assert.equal((await peer.close(1000)).code, 1000)
  await example.printed(/^closed \S+: peer-closed$/m)
})

test('https: who speaks http, or does not finish the handshake, is closed with a reason', async () => {
  await using example = await startExample('https')
  await assert.rejects(ask(`http://localhost:${example.port}/`))
  await example.printed(/^closed \S+: protocol-error \(ERR_SSL_/m)

  const silent = connect(example.port, 'localhost')
  silent.on('error', () => {})
  try {
    await example.printed(/^closed \S+: handshake-timeout/m)
  } finally {
    silent.destroy()
  }
})

test('https: SIGTERM closes with a close frame and exits', async () => {
  await using example = await startExample('https')
  using peer = await Peer.connect(example.webSocketUrl('/'), { ca })
  example.kill('SIGTERM')
  const { code, reason } = await peer.ended()
  assert.equal(code, 1012)
  assert.match(reason, /^drain; reconnect=\d+\.\.\d+$/)
  assert.deepEqual(await example.exit(), { code: 0, signal: null })
})
