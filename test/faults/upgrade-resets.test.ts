import assert from 'node:assert/strict'
import net, { type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { type TestContext, test } from 'node:test'
import tls from 'node:tls'
import { type Child, startChild } from '../support/child.js'
import { badFrames, clientFrame, opcodes, upgradeRequest } from '../support/frames.js'
import { Random } from '../support/random.js'
import { connectRaw, requestRaw } from '../support/raw-peer.js'
import { heard, pause, until } from '../support/wait.js'
import { ask, openWebSocket } from '../support/web-socket.js'

const attempts = 200
/** Resets come at a random moment of this time. */
const fuzzMs = 250
/** Attempts begin over this time, so that they meet in every phase. */
const startsMs = 600
/** Without peerpulse a single round may miss the moment. */
const roundsToDie = 5

const fixture = new URL('./fixtures/stack-server.js', import.meta.url)

interface Stack {
  path: string
  secure?: boolean
  /** Whether a reset in the middle of its auth ends a process without peerpulse. */
  diesBare: boolean
  /** Exchanges messages with a server that is well. */
  greet: (scope: TestContext, port: number, secure?: boolean) => Promise<void>
}

async function greetPlain(t: TestContext, port: number, secure = false): Promise<void> {
  const peer = await openWebSocket(t, port, { secure })
  assert.equal(await ask(peer, 'hello'), 'hello')
  peer.webSocket.close()
  await peer.closed
}

const engineHandshake = (path: string) => `${path}?EIO=4&transport=websocket`

const stacks: Record<string, Stack> = {
  // Its upgrade is over within one turn of the event loop: no moment to hit.
  'ws with server': { path: '/', diesBare: false, greet: greetPlain },
  'ws with noServer': { path: '/', diesBare: true, greet: greetPlain },
  // Node's own error listener stays on a TLS socket.
  'ws with noServer over https': { path: '/', secure: true, diesBare: false, greet: greetPlain },
  crossws: { path: '/', diesBare: true, greet: greetPlain },
  'engine.io': {
    path: engineHandshake('/engine.io/'),
    diesBare: true,
    async greet(t, port) {
      const peer = await openWebSocket(t, port, { path: engineHandshake('/engine.io/') })
      await until(() => peer.messages[0]?.startsWith('0{'), "engine.io's open packet")
      assert.equal(await ask(peer, '4hello'), '4hello')
      peer.webSocket.close()
      await peer.closed
    },
  },
  'socket.io': {
    path: engineHandshake('/socket.io/'),
    diesBare: true,
    async greet(t, port) {
      const peer = await openWebSocket(t, port, { path: engineHandshake('/socket.io/') })
      await until(() => peer.messages[0]?.startsWith('0{'), "engine.io's open packet")
      assert.match(await ask(peer, '40'), /^40\{/)
      assert.equal(await ask(peer, '42["message","hello"]'), '42["message","hello"]')
      peer.webSocket.close()
      await peer.closed
    },
  },
}

/** One upgrade that is reset `resetAfterMs` after it began to connect: before, during or after the upgrade. */
async function resetDuringUpgrade(port: number, { path, secure }: Stack, random: Random): Promise<void> {
  const resetAfterMs = random.next() * fuzzMs
  const inTwoParts = random.next() < 0.2
  const talks = random.next() < 0.5
  const tcp = net.connect({ port, host: '127.0.0.1' })
  const closed = heard(tcp, 'close')
  const stream = secure ? secured(tcp) : tcp
  tcp.on('error', () => {})
  stream.on('error', () => {})
  stream.on(secure ? 'secureConnect' : 'connect', async () => {
    const request = upgradeRequest(path)
    if (inTwoParts) {
      stream.write(request.slice(0, 40))
      await pause(resetAfterMs / 2)
      if (!tcp.destroyed) stream.write(request.slice(40))
    } else stream.write(request)
  })
  if (talks) stream.once('data', () => stream.write(clientFrame(opcodes.text, 'hello')))
  await pause(resetAfterMs)
  tcp.resetAndDestroy()
  stream.destroy()
  await closed
}

/** TLS that leaves the TCP socket its handle, so that it can be reset. */
function secured(tcp: Socket): Socket {
  const between = Duplex.from({ readable: tcp, writable: tcp }).on('error', () => {})
  return tls.connect({ socket: between as Socket, rejectUnauthorized: false })
}

async function storm(port: number, stack: Stack, random: Random): Promise<void> {
  await Promise.all(
    Array.from({ length: attempts }, async () => {
      const startAfterMs = random.next() * startsMs
      const own = new Random(random.below(2 ** 31))
      await pause(startAfterMs)
      await resetDuringUpgrade(port, stack, own)
    }),
  )
}

/** Asks with ordinary requests until the answer is the one that is waited for. */
async function askUntil(
  t: TestContext,
  child: Child,
  path: string,
  answer: string,
  secure = false,
): Promise<void> {
  await until(async () => {
    assert.ok(child.alive, `the process died: ${child.stderr}`)
    const peer = await connectRaw(t, child.port, secure)
    const response = await requestRaw(peer, path)
    peer.end()
    await peer.gone()
    return response.endsWith(`\r\n\r\n${answer}`)
  }, `${path} to be ${answer}`)
}

/** No auth hook waits any more, so that none can still end the process. */
const settle = (t: TestContext, child: Child, secure = false) => askUntil(t, child, '/waiting', '0', secure)

/** The fixture's stacks know nothing of https; it is an argument of its own. */
function startStack(t: TestContext, name: string, mode: 'pulse' | 'bare', random: Random): Promise<Child> {
  t.diagnostic(`seed ${random.seed}`)
  const [stack = '', secure] = name.split(' over ')
  return startChild(t, fixture, [stack, mode, secure ?? 'http', String(random.seed)])
}

for (const [name, stack] of Object.entries(stacks)) {
  test(`resets around the upgrade: ${name} lives with peerpulse`, { timeout: 60_000 }, async (t) => {
    const random = new Random()
    const child = await startStack(t, name, 'pulse', random)
    await storm(child.port, stack, random)
    await settle(t, child, stack.secure)
    await stack.greet(t, child.port, stack.secure)
    // Of all that came and went, only the connection that asks is left.
    await askUntil(t, child, '/open', '1', stack.secure)
    assert.ok(child.alive, child.stderr)
    assert.equal(child.stderr, '')
  })

  test(`resets around the upgrade: ${name} ${stack.diesBare ? 'dies' : 'lives'} without peerpulse`, {
    timeout: 60_000,
  }, async (t) => {
    const random = new Random()
    const child = await startStack(t, name, 'bare', random)
    await stack.greet(t, child.port, stack.secure)
    if (!stack.diesBare) {
      await storm(child.port, stack, random)
      await settle(t, child, stack.secure)
      await stack.greet(t, child.port, stack.secure)
      return
    }
    for (let round = 0; round < roundsToDie && child.alive; round++) {
      await storm(child.port, stack, random)
      await until(() => !child.alive, 'the process to die', 1_000).catch(() => {})
    }
    assert.equal(child.alive, false)
    assert.match(child.stderr, /ECONNRESET/)
  })
}

for (const [what, frame] of Object.entries(badFrames)) {
  for (const together of [false, true]) {
    const how = together ? ', in one packet with the upgrade' : ''
    test(`a malformed frame (${what}${how}) to a ws without an error listener`, {
      timeout: 60_000,
    }, async (t) => {
      for (const mode of ['pulse', 'bare'] as const) {
        const child = await startStack(t, 'ws with noServer', mode, new Random())
        const peer = await connectRaw(t, child.port)
        if (together) peer.write(Buffer.concat([Buffer.from(upgradeRequest('/')), frame]))
        else {
          peer.write(upgradeRequest('/'))
          await peer.expect('\r\n\r\n')
          peer.write(frame)
        }
        await peer.gone()
        if (mode === 'pulse') {
          await settle(t, child)
          await greetPlain(t, child.port)
          await settle(t, child)
          assert.equal(child.stderr, '')
        } else {
          await until(() => !child.alive, 'the process without peerpulse to die')
          assert.match(child.stderr, /WS_ERR_/)
        }
      }
    })
  }
}
