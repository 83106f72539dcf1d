import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { pino } from 'pino'
import { openSocket, openWebSocket, readAll, start } from '../policies/support.js'
import { until } from '../scenarios/support.js'

type Line = Record<string, unknown> & { level: number; msg: string }

function logger(): { log: ReturnType<typeof pino>; raw: string[]; lines(event: string): Line[] } {
  const raw: string[] = []
  const stream = new Writable({
    write(chunk, _, done) {
      raw.push(String(chunk))
      done()
    },
  })
  return {
    log: pino(stream),
    raw,
    lines: (event) => raw.map((line) => JSON.parse(line) as Line).filter((line) => line.event === event),
  }
}

test('one line a close, whose fields do not collide with those of pino', async (t) => {
  const { log, raw, lines } = logger()
  const { port } = await start(t, { log })
  const client = await openWebSocket(t, port)
  const { _socket: socket } = client as unknown as { _socket: { resetAndDestroy(): void } }
  socket.resetAndDestroy()
  await until('a line', () => lines('connection:close').length === 1)
  const [line] = lines('connection:close')
  assert.equal(line?.level, 40)
  assert.equal(line?.reason, 'peer-reset')
  assert.match(
    line?.msg ?? '',
    /^connection \d+ \(websocket, 127\.0\.0\.1\) closed: peer-reset, ECONNRESET; in phase established, open \d/,
  )
  // Behind the evidence's opening everything is nested; before it and after it each name stands once.
  const flat = (raw[0] ?? '').replace(/"evidence":\{[^}]*\}/, '')
  for (const name of ['level', 'time', 'msg']) assert.equal(flat.split(`"${name}":`).length, 2, name)
})

test('in a storm lines are held back and summed up, and refusals at accept are told too', async (t) => {
  const { log, lines } = logger()
  const { port } = await start(t, { log, limits: { maxConnections: 1 } })
  const held = await Promise.all([openSocket(t, port), openSocket(t, port)])
  const refused = await openSocket(t, port)
  await readAll(refused)
  for (const socket of held) socket.destroy()
  await until('the sum of the window', () => lines('shed').length === 1)
  assert.deepEqual(lines('shed')[0]?.refused, {
    'connection (limit: more than 110 % of limits.maxConnections)': 1,
  })
})

test('a connection prints and serialises without its insides', async (t) => {
  const { pulse, port } = await start(t, {})
  await openWebSocket(t, port)
  const [connection] = pulse.connections()
  const plain = JSON.parse(JSON.stringify(connection)) as Record<string, unknown>
  assert.equal(plain.protocol, 'websocket')
  assert.equal(plain.socket, undefined)
  assert.ok(inspect(connection).length < 1_000)
})
