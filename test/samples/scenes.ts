/** A code block of a document, what it presupposes beside the stage, and what is done with it. */
export interface Scene {
  readonly file: string
  /** The first line of the block. */
  readonly begins: string
  /** Runs before the block. */
  readonly given?: string
  /** Runs behind it, and throws where the block did not do what it is there for. */
  readonly finish: string
  /** Of the process; 0 where nothing is said. */
  readonly exitCode?: number
  /** What it must have written. */
  readonly says?: RegExp
  /** It is about another library: its warnings are not ours. */
  readonly isOthers?: true
  /** Nothing keeps the process, and so it is not ended. */
  readonly endsByItself?: true
}

/** Serves, and ends on SIGINT, which waits for no balancer. */
const servesAndEnds = `
  await stage.listening()
  assert.deepEqual(await stage.get('/'), [200, 'hello\\n'])
  const { client } = await stage.webSocket()
  client.on('close', (code) => console.log('client was closed with', code))
  process.kill(process.pid, 'SIGINT')
  await new Promise(() => {})
`
/** What another library does with its server is its own. */
const starts = `
  await stage.listening()
  assert.deepEqual(await stage.get('/'), [200, 'hello\\n'])
`

/** A browser's client that comes back; time is not the matter here. */
const client = `
  Math.random = () => 0
  const pulse = await stage.attached()
  let connected = 0
  wss.on('connection', () => connected++)
  globalThis.url = 'ws://127.0.0.1:' + server.address().port
`
const comesBack = `
  await stage.until(() => connected === 1, 'the client')
  for (const connection of pulse.connections()) connection.close('drain')
  await stage.until(() => connected === 2, 'the client that comes back')
`

export const scenes: readonly Scene[] = [
  {
    file: 'README.md',
    begins: "import { createServer } from 'node:http'",
    // Another test talks to it; this one has it start, and end.
    finish: `
      await stage.until(() => server.listening, 'the server')
      assert.deepEqual(await stage.get('/', server.address().port), [200, 'hello\\n'])
      process.kill(process.pid, 'SIGINT')
      await new Promise(() => {})`,
    says: /connection \d+: /,
  },
  {
    file: 'README.md',
    begins:
      'pulse.snapshot() // connections by protocol, closes by reason, leaks, pressure, stalls: plain JSON',
    given: 'await stage.attached()',
    finish: `
      assert.equal(connection.closeReason, 'drain')
      assert.ok(!Object.hasOwn(server, 'emit'))`,
  },
  {
    file: 'docs/behind-a-balancer.md',
    begins: 'function connect() {',
    given: client,
    finish: `connect()${comesBack}`,
  },
  {
    file: 'docs/close-reasons.md',
    begins: "socket.addEventListener('close', ({ reason }) => {",
    given: `${client}
      function connect() { return new WebSocket(url) }
      const socket = connect()`,
    finish: comesBack,
  },
  { file: 'docs/errors.md', begins: 'try {', given: 'const options = {}', finish: '' },
  {
    file: 'docs/errors.md',
    begins: 'try {',
    given: 'const options = { heartbeat: { intervalms: 1 } }',
    finish: '',
    exitCode: 1,
    says: /^\[\s*'heartbeat\.intervalms: unknown option, did you mean heartbeat\.intervalMs\?'\s*\][\s\S]*PEERPULSE_ERR_CONFIG/,
  },
  { file: 'docs/migrating.md', begins: '// before, with terminus', finish: starts, isOthers: true },
  {
    file: 'docs/migrating.md',
    begins: '// after terminus',
    finish: `
      await stage.listening()
      assert.equal((await stage.get('/healthz'))[0], 200)
      assert.deepEqual(stage.calls, ['checkDatabase'])
      ${servesAndEnds}`,
    says: /client was closed with 1012[\s\S]*closeDatabase/,
  },
  {
    file: 'docs/migrating.md',
    begins: '// before, with lightship',
    given: "const { createLightship } = await import('lightship')",
    finish: "await stage.until(() => lightship.isServerReady(), 'lightship')",
    isOthers: true,
  },
  {
    file: 'docs/migrating.md',
    begins: '// after lightship',
    finish: `
      await stage.until(() => pulse.snapshot().probesPort, 'the port of the probes')
      for (const path of ['/live', '/ready'])
        assert.equal((await stage.get(path, pulse.snapshot().probesPort))[0], 200)
      process.kill(process.pid, 'SIGINT')
      await new Promise(() => {})`,
  },
  {
    file: 'docs/migrating.md',
    begins: '// before, with http-terminator',
    given: 'await stage.listening()',
    finish: 'assert.ok(!server.listening)',
    isOthers: true,
  },
  {
    file: 'docs/migrating.md',
    begins: '// after http-terminator',
    given: 'await stage.listening()',
    finish: 'assert.ok(!server.listening)',
  },
  {
    file: 'docs/migrating.md',
    begins: '// before, with http-graceful-shutdown',
    finish: starts,
    isOthers: true,
  },
  {
    file: 'docs/migrating.md',
    begins: '// after http-graceful-shutdown',
    finish: `${servesAndEnds.replace('SIGINT', 'SIGTERM')}`,
    says: /client was closed with 1012[\s\S]*closeDatabase/,
  },
  {
    file: 'docs/migrating.md',
    begins: '// before, with close-with-grace',
    given: 'app.close = () => server.close()',
    finish: starts,
    isOthers: true,
  },
  {
    file: 'docs/migrating.md',
    begins: '// after close-with-grace',
    finish: servesAndEnds,
    says: /client was closed with 1012[\s\S]*closeDatabase/,
  },
  {
    file: 'docs/migrating.md',
    begins: '// after close-with-grace',
    finish: "setImmediate(() => { throw new Error('nobody caught it') }); await new Promise(() => {})",
    exitCode: 1,
    says: /log\.error[\s\S]*closeDatabase/,
  },
  {
    file: 'docs/shutdown.md',
    begins: "app.get('/news', (req, res) => {",
    given: `
      const pulse = await stage.attached()
      let answerLate
      globalThis.waitForNews = (answer) => { answerLate = answer }
      globalThis.streamAnswer = (res) => setTimeout(() => res.end('data: all of it\\n\\n'), 700)`,
    finish: `
      const news = stage.get('/news')
      const answer = stage.get('/answer')
      await stage.until(() => answerLate !== undefined, 'the poll')
      const draining = pulse.drain()
      assert.equal((await news)[0], 503)
      answerLate({ late: true })
      assert.deepEqual(await answer, [200, 'data: all of it\\n\\n'])
      assert.equal((await draining).deadlineExceeded, false)`,
  },
  {
    file: 'docs/shutdown.md',
    begins: '// A handler of your own.',
    given: 'await stage.attached()',
    finish: "process.kill(process.pid, 'SIGTERM'); await new Promise(() => {})",
    says: /why: 'SIGTERM'[\s\S]*database\.end/,
  },
  {
    file: 'docs/shutdown.md',
    begins: '// Fastify: before it closes its server.',
    given: `
      const { default: fastify } = await import('fastify')
      const app = fastify()
      const pulse = peerpulse({ drain: { signals: [], readinessDelayMs: 0, spreadMs: 0 } })
      pulse.attach(app.server)`,
    finish: `
      await app.listen()
      await app.close()
      assert.equal(pulse.snapshot().draining, true)`,
  },
  {
    file: 'docs/shutdown.md',
    begins: '// Nest, with app.enableShutdownHooks(): before it closes its server, too.',
    given: 'await stage.attached()',
    finish: `
      await new Shutdown().beforeApplicationShutdown('SIGTERM')
      assert.equal(pulse.snapshot().draining, true)`,
  },
  {
    file: 'docs/shutdown.md',
    begins: '// A test: nobody has to notice, so nobody has to be waited for.',
    given: "import { test } from 'node:test'",
    finish: `
      test('of the sample', () => {
        pulse.attach(server, wss)
        assert.equal(pulse.snapshot().draining, false)
      })
      process.once('beforeExit', () => assert.ok(!Object.hasOwn(server, 'emit')))`,
    endsByItself: true,
  },
  {
    file: 'docs/shutdown.md',
    begins: "app.get('/news', (req, res) => {",
    given: `
      const pulse = peerpulse({ drain: { signals: [], readinessDelayMs: 0, spreadMs: 0 } })
      pulse.attach(server)
      const waitForNews = () => {}
      const streamAnswer = (res) => {
        res.write('first ')
        pulse.on('connection:close', () => res.end('last'))
      }`,
    finish: `
      await stage.listening()
      const asked = [stage.get('/news'), stage.get('/answer')]
      await stage.until(() => pulse.snapshot().connections.byProtocol.sse === 1 && pulse.snapshot().connections.open === 2, 'both')
      await pulse.drain()
      const [[status], answer] = await Promise.all(asked)
      assert.equal(status, 503)
      assert.deepEqual(answer, [200, 'first last'])`,
  },
  {
    file: 'docs/config.md',
    begins: 'const say = (fields, message) => console.log(new Date().toISOString(), message)',
    finish: `
      pulse.attach(server)
      await stage.listening()
      await pulse.drain()
      await pulse.detach()`,
    says: /^\d{4}-\S+Z peerpulse: drain \(/m,
  },
  {
    file: 'docs/small-container.md',
    begins: 'peerpulse({',
    given:
      'const made = []; const { peerpulse } = { peerpulse: (options) => made.push(globalThis.peerpulse(options)) }',
    finish: 'assert.equal(made[0].config.limits.maxConnections, 2_000)',
  },
]
