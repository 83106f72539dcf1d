/** What every transport promises, tried on each. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Connection } from 'peerpulse'
import { turn, until } from '../support/wait.js'
import type { TransportAdapter } from './transports/adapter.js'
import { adapters } from './transports/adapters.js'
import { drain, exchange, openPair, openWatched, tracesOf, type Watched } from './transports/stand.js'

const timeout = 60_000
/** More than the buffers of a loopback connection take at once. */
const burst = '#'.repeat(4 * 1024 * 1024)

const vitals = ({ lastSeenAt, lastActiveAt, bytesRead, bytesWritten }: Connection) => ({
  lastSeenAt,
  lastActiveAt,
  bytesRead,
  bytesWritten,
})
type Vitals = ReturnType<typeof vitals>

/** Sends until all of these have grown; the values before. Again and again, since the times are those of ticks. */
async function grow(connection: Connection, keys: (keyof Vitals)[], send: () => unknown): Promise<Vitals> {
  const before = vitals(connection)
  const isGrown = async () => {
    await send()
    return keys.every((key) => vitals(connection)[key] > before[key])
  }
  await until(isGrown, `${keys.join(', ')} to grow`)
  return before
}

/** Ends it in order, as the transport does. */
async function farewell(adapter: TransportAdapter, { peer, side }: Watched, reason: 'lifetime' | 'drain') {
  await adapter.farewell(peer, side, reason)
  await peer.gone()
  assert.equal(peer.ended, true, 'it ended with a reset')
}

function contract(adapter: TransportAdapter, secure: boolean): void {
  const { protocol, phase, speak, pushes, finishesFirst } = adapter
  const ends = [['the app', (it: Watched) => it.connection.close('lifetime'), 'lifetime']] as const
  const drains = [...ends, ['a drain', (it: Watched) => void it.pulse.drain('test'), 'drain']] as const

  test('it is registered once, with its protocol and its address', { timeout }, async (t) => {
    const { pulse, connection, opened, side, peer } = await openWatched(t, adapter, secure)
    assert.deepEqual([...pulse.connections()], [connection])
    assert.deepEqual(opened, [connection])
    const { remoteAddress, remotePort, state } = connection
    assert.deepEqual([remoteAddress, remotePort, state], ['127.0.0.1', peer.port, 'open'])
    assert.deepEqual([connection.protocol, connection.phase], [protocol, phase])
    const { connections, totals } = pulse.snapshot()
    assert.deepEqual([connections.open, connections.peers, totals.opened], [1, 1, 1])
    assert.deepEqual(
      Object.entries(connections.byProtocol).filter(([, count]) => count > 0),
      [[protocol, 1]],
    )
    for (const carrier of side.carriers) assert.equal(pulse.connectionOf(carrier as never), connection)
  })

  if (speak)
    test('what the peer sends is life and traffic', { timeout }, async (t) => {
      const { connection, peer } = await openWatched(t, adapter, secure)
      await grow(connection, ['lastSeenAt', 'lastActiveAt', 'bytesRead'], () => speak(peer))
    })
  else
    test('its peer has nothing to say, and is as old as its request', { timeout }, async (t) => {
      const { connection, side } = await openWatched(t, adapter, secure)
      await grow(connection, ['lastActiveAt'], () => side.write('news'))
      const { bytesRead } = connection
      await grow(connection, ['lastActiveAt'], () => side.write('news'))
      assert.equal(connection.bytesRead, bytesRead)
    })

  test('what the app sends is traffic, but no life of the peer', { timeout }, async (t) => {
    const watched = await openWatched(t, adapter, secure)
    const { connection, side, peer } = watched
    if (!pushes) {
      // It answers, which is all that it can.
      await grow(connection, ['lastSeenAt', 'lastActiveAt', 'bytesWritten'], () => exchange(adapter, watched))
      return
    }
    // After this one all that the peer had sent has been looked at.
    await grow(connection, ['lastActiveAt', 'bytesWritten'], () => side.write('news'))
    const { lastSeenAt } = await grow(connection, ['lastActiveAt', 'bytesWritten'], () => side.write('more'))
    // Epoch times move by a millisecond now and then; had it been seen, it would be a tick or more.
    assert.ok(connection.lastSeenAt - lastSeenAt < 50)
    await peer.expect('more')
  })

  for (const [who, end, reason] of drains) {
    test(`${who} ends it in order: nothing is lost, and the reason is '${reason}'`, {
      timeout,
    }, async (t) => {
      const watched = await openWatched(t, adapter, secure)
      const { connection, peer, side, closed } = watched
      if (pushes) side.write(burst)
      end(watched)
      await until(() => connection.state !== 'open', 'the end to begin')
      assert.equal(connection.closeReason, finishesFirst ? undefined : reason)
      connection.close('shed')
      if (pushes) {
        await until(
          () => peer.closed || peer.text.split('#').length - 1 >= burst.length,
          'all that was sent before',
        )
        assert.equal(peer.text.split('#').length - 1, burst.length)
      }
      await farewell(adapter, watched, reason)
      await closed(reason)
    })

    test(`an app that writes on after ${who} ended it harms nobody`, { timeout }, async (t) => {
      const watched = await openWatched(t, adapter, secure)
      const { connection, peer, side, closed } = watched
      const writeOn = async (isEnough: () => boolean) => {
        while (!isEnough()) {
          side.write('late')
          await turn()
        }
      }
      end(watched)
      await until(() => connection.state !== 'open', 'the end to begin')
      if (finishesFirst) {
        // It is not at its end: what is in flight may still say everything.
        for (let i = 0; i < 10; i++) side.write('late')
        for (let i = 0; i < 10; i++) await peer.expect('late')
        await farewell(adapter, watched, reason)
      } else {
        const gone = farewell(adapter, watched, reason)
        await writeOn(() => connection.state === 'closed')
        await gone
        let turns = 0
        await writeOn(() => ++turns > 20)
      }
      await closed(reason)
    })
  }

  test('terminate() ends it at once, for the reason given', { timeout }, async (t) => {
    const { connection, peer, side, closed } = await openWatched(t, adapter, secure)
    connection.terminate('limit')
    connection.terminate('shed')
    assert.equal(connection.closeReason, 'limit')
    // Neither its peer nor its app did anything about it.
    for (let i = 0; i < 20; i++) {
      side.write('late')
      await turn()
    }
    await closed('limit')
    await peer.gone()
    assert.equal(peer.text, '')
  })

  test(`the peer's FIN: ${adapter.afterFin}`, { timeout }, async (t) => {
    const { peer, closed } = await openWatched(t, adapter, secure)
    peer.end()
    await closed(adapter.afterFin)
  })

  test(`the peer's reset: ${adapter.afterReset}`, { timeout }, async (t) => {
    const { peer, closed } = await openWatched(t, adapter, secure)
    peer.reset()
    await closed(adapter.afterReset)
  })

  test("a drain's report has it among the ends in order", { timeout }, async (t) => {
    const watched = await openWatched(t, adapter, secure)
    const draining = watched.pulse.drain('test')
    await until(() => watched.connection.state !== 'open', 'the end to begin')
    await farewell(adapter, watched, 'drain')
    const { deadlineExceeded, connections, cut, dryRun } = await draining
    assert.deepEqual({ deadlineExceeded, cut, dryRun }, { deadlineExceeded: false, cut: [], dryRun: false })
    assert.deepEqual(connections, { [protocol]: { closed: 1, terminated: 0 } })
    await watched.closed('drain')
  })

  test('a dry run touches nobody', { timeout }, async (t) => {
    const options = { dryRun: true, drain, lifetime: { maxAgeMs: 200, jitter: 0 } }
    const watched = await openWatched(t, adapter, secure, options)
    const { pulse, connection, peer } = watched
    await until(() => pulse.snapshot().totals.dryRun.lifetime === 1, 'the end that it would have had')
    const { dryRun, connections } = await pulse.drain('test')
    assert.equal(dryRun, true)
    assert.deepEqual(Object.keys(connections), [protocol])
    assert.deepEqual([connection.state, connection.closeReason, peer.text], ['open', undefined, ''])
    await exchange(adapter, watched)
    assert.equal(connection.state, 'open')
  })

  test('detach leaves it alive and without a trace', { timeout }, async (t) => {
    const watched = await openWatched(t, adapter, secure)
    const twin = await openPair(t, adapter, secure)
    for (const pair of [watched, twin]) await exchange(adapter, pair)
    await watched.pulse.detach()
    assert.deepEqual(tracesOf(watched), tracesOf(twin))
    assert.deepEqual([...watched.pulse.connections()], [])
    for (const pair of [watched, twin]) await exchange(adapter, pair)
    assert.equal(watched.peer.closed, false)
  })
}

for (const [scheme, secure] of Object.entries({ http: false, https: true }))
  for (const adapter of adapters)
    describe(`${adapter.name} over ${scheme}`, { concurrency: true }, () => contract(adapter, secure))
