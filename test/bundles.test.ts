import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type BuildOptions, build } from 'esbuild'
import { WebSocket } from 'ws'
import { until } from './support/wait.js'

const root = dirname(createRequire(import.meta.url).resolve('peerpulse/package.json'))

/** An app that says what it does; `{WS}` is where its WebSockets come in. */
const app = `
import { createServer } from 'node:http'
import { peerpulse } from 'peerpulse'
{WS}
const say = (text) => process.stdout.write(text + '\\n')
try {
  peerpulse({ heartbeats: {} })
} catch (error) {
  say([error.name, error.code, error.problems.length].join())
}
const server = createServer((req, res) => res.end('hello'))
const pulse = peerpulse({
  limits: { trustProxy: 'loopback' },
  drain: {
    readinessDelayMs: 0, spreadMs: 0,
    beforeShutdown: () => say('beforeShutdown'), onSignal: () => say('onSignal'), onShutdown: () => say('onShutdown'),
  },
})
pulse.on('warning', ({ message }) => say(message))
pulse.attach(server, ...targets(server))
server.listen(0, '127.0.0.1', () => say('port ' + server.address().port))
`
const withoutWs = app.replace('{WS}', 'const targets = () => []')
const withWs = app.replace(
  '{WS}',
  "import { WebSocketServer } from 'ws'\nconst targets = (server) => [new WebSocketServer({ server })]",
)
/** What those write who bundle CommonJS packages as an ES module. */
const banner = {
  js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
}

describe('a bundle, in a folder without node_modules', { timeout: 120_000 }, () => {
  let folder = ''
  const children: ChildProcess[] = []
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peerpulse-bundles-'))
  })
  after(async () => {
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })

  async function bundle(contents: string, file: string, options: BuildOptions): Promise<string> {
    const outfile = join(folder, file)
    const { warnings } = await build({
      stdin: { contents, resolveDir: root },
      bundle: true,
      platform: 'node',
      outfile,
      logLevel: 'silent',
      ...options,
    })
    assert.deepEqual(warnings, [])
    return outfile
  }

  async function startsServesAndDrains(file: string, hasWebSockets: boolean): Promise<void> {
    const child = spawn(process.execPath, [file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    children.push(child)
    const exited = once(child, 'exit')
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk
      })
    await until(() => /port \d+\n/.test(output) || child.exitCode !== null, 'the bundle to listen')
    const port = /port (\d+)\n/.exec(output)?.[1] ?? assert.fail(output)
    const headers = { connection: 'close' }
    for (const path of ['/', '/livez', '/readyz'])
      assert.equal((await fetch(`http://127.0.0.1:${port}${path}`, { headers })).status, 200, path)
    const client = hasWebSockets ? new WebSocket(`ws://127.0.0.1:${port}`) : undefined
    if (client !== undefined) await once(client, 'open')
    const closed = client && once(client, 'close')
    child.kill('SIGTERM')
    assert.deepEqual(await exited, [0, null])
    assert.deepEqual((await closed)?.[0], hasWebSockets ? 1012 : undefined)
    const said = output.replace(/port \d+\n/, '')
    assert.equal(said, 'ConfigError,PEERPULSE_ERR_CONFIG,1\nbeforeShutdown\nonSignal\nonShutdown\n')
  }

  test('of CommonJS', async () => {
    await startsServesAndDrains(await bundle(withWs, 'app.cjs', { format: 'cjs' }), true)
  })

  test('of CommonJS, minified', async () => {
    await startsServesAndDrains(await bundle(withWs, 'min.cjs', { format: 'cjs', minify: true }), true)
  })

  test('of ES modules, where nothing can be required', async () => {
    await startsServesAndDrains(await bundle(withoutWs, 'app.mjs', { format: 'esm' }), false)
    await startsServesAndDrains(await bundle(withoutWs, 'min.mjs', { format: 'esm', minify: true }), false)
  })

  test('of ES modules with a require, and so with ws', async () => {
    const options = { format: 'esm', minify: true, banner } as const
    await startsServesAndDrains(await bundle(withWs, 'banner.mjs', options), true)
  })

  test('holds terminus, which bundlers find', async () => {
    const { metafile } = await build({
      stdin: { contents: withoutWs, resolveDir: root },
      bundle: true,
      platform: 'node',
      format: 'cjs',
      write: false,
      metafile: true,
      logLevel: 'silent',
    })
    const names = Object.keys(metafile?.inputs ?? {})
    assert.ok(names.some((name) => name.endsWith('@godaddy/terminus/lib/terminus.js')))
  })
})
