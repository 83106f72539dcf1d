import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { ConfigError, peerpulse } from 'peerpulse'
import { describeCollected } from '../../lib/monitors/kept-memory.js'
import { type Block, blocksOf, documents, root } from './blocks.js'
import { type Scene, scenes } from './scenes.js'

const run = promisify(execFile)
const blocks = documents.flatMap(blocksOf)
const firstLine = ({ code }: Block) => code.split('\n')[0] ?? ''
const isScript = ({ language }: Block) => ['js', 'javascript', 'mjs', 'ts', 'typescript'].includes(language)

/** Which blocks a scene, or another check, is for. */
const isFor = ({ file, begins }: { file: string; begins: string }, block: Block) =>
  block.file === file && firstLine(block) === begins

// Code -------------------------------------------------------------------------------------------

const stage = new URL('./stage.js', import.meta.url).href

/** The block as a program: it may declare what the stage has as a global. */
function program({ given = '', finish, isOthers, endsByItself }: Scene, { code }: Block): string {
  return [
    `import ${JSON.stringify(stage)}`,
    "import assert from 'node:assert/strict'",
    "process.once('exit', () => console.log(stage.calls.join(' ')))",
    given,
    code,
    '{',
    finish,
    '}',
    'await new Promise((resolve) => setImmediate(resolve))',
    isOthers ? '' : 'assert.deepEqual(stage.warnings, [])',
    endsByItself ? '' : 'process.exit(0)',
  ].join('\n')
}

async function play(t: TestContext, scene: Scene, block: Block): Promise<void> {
  const child = spawn(process.execPath, ['--input-type=module'], {
    cwd: root,
    env: { ...process.env, PORT: '0', NODE_TEST_CONTEXT: undefined },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  t.after(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  child.stdin.end(program(scene, block))
  const [code, signal] = await once(child, 'close')
  assert.deepEqual([code, signal], [scene.exitCode ?? 0, null], output)
  if (scene.says !== undefined) assert.match(output, scene.says)
  if (scene.exitCode === undefined && scene.isOthers === undefined)
    assert.doesNotMatch(output, /Warning|Unhandled|Uncaught/)
}

describe('code of the documents runs', { concurrency: 3, timeout: 200_000 }, () => {
  for (const scene of scenes) {
    const found = blocks.filter((block) => isFor(scene, block))
    test(`${scene.file}: ${scene.begins}`, async (t) => {
      assert.equal(found.length, 1, 'there is this block, once')
      await play(t, scene, found[0] as Block)
    })
  }
})

// All else ---------------------------------------------------------------------------------------

interface Check {
  readonly file: string
  readonly begins: string
  /** What is held of it. */
  check(t: TestContext, code: string): unknown
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  name: string
  scripts: Record<string, string>
}

/** Every command of a shell block is one that there is. */
function commandsExist(_t: TestContext, code: string): void {
  for (const command of code.split('\n').flatMap((line) => line.split('&&'))) {
    const words = command.trim().split(/\s+/)
    const [program, verb, name = ''] = words
    assert.equal(program, 'npm', command)
    if (verb === 'run') assert.ok(Object.hasOwn(manifest.scripts, name), command)
    else if (verb === 'install') assert.equal(name, manifest.name)
    else assert.ok(verb === 'ci' || verb === 'test', command)
  }
}

/** The paths of binaries that a system keeps to itself. */
const path = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`

/** Has a balancer check a configuration, where it is installed. */
async function accepts(
  t: TestContext,
  command: string,
  args: readonly string[],
  text: string,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'peerpulse-samples-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'sample.cfg')
  await writeFile(file, text)
  try {
    await run(command, [...args, file], { cwd: folder, env: { ...process.env, PATH: path } })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') t.diagnostic(`${command} is not installed`)
    else throw error
  }
}

function isBalanced(code: string): void {
  let depth = 0
  for (const character of code) {
    if (character === '{') depth++
    if (character === '}') assert.ok(--depth >= 0)
  }
  assert.equal(depth, 0)
}

const checks: readonly Check[] = [
  { file: 'README.md', begins: 'npm ci && npm run demo', check: commandsExist },
  { file: 'README.md', begins: 'npm install peerpulse', check: commandsExist },
  { file: 'README.md', begins: 'npm ci && npm test', check: commandsExist },
  { file: 'CONTRIBUTING.md', begins: 'npm ci && npm test', check: commandsExist },
  {
    // What the demo prints. Its figures are those of one run; its words are the demo's.
    file: 'README.md',
    begins: '-'.repeat(98),
    async check(_t, code) {
      const folder = join(root, 'examples/incident')
      const names = (await readdir(folder)).filter((name) => name.endsWith('.js'))
      const source = names.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n')
      for (const label of [
        'Process alive until SIGTERM?',
        'Peak memory',
        'Healthy clients cut off',
        'Dead peers held',
      ]) {
        assert.ok(code.includes(label), label)
        assert.ok(source.includes(label), label)
      }
    },
  },
  {
    file: 'docs/architecture.md',
    begins: 'types/         contracts: interfaces and unions, no run-time code',
    async check(_t, code) {
      const named = [...code.matchAll(/^ {2}([\w.]+?)\/? +/gm)].map(([, name]) => name)
      assert.deepEqual(named.sort(), (await readdir(join(root, 'lib'))).sort())
    },
  },
  {
    file: 'docs/behind-a-balancer.md',
    begins: 'defaults',
    check: (t, code) =>
      accepts(
        t,
        'haproxy',
        ['-c', '-f'],
        `${code}\nfrontend all\n  bind 127.0.0.1:8098\n  default_backend instances\n`,
      ),
  },
  {
    file: 'docs/behind-a-balancer.md',
    begins: 'upstream instances {',
    check(t, code) {
      isBalanced(code)
      const around = `pid nginx.pid; error_log stderr crit; events {} http { access_log off; ${code.replace('server {', 'server { listen 127.0.0.1:8099;')} }`
      return accepts(t, 'nginx', ['-t', '-q', '-p', '.', '-e', 'stderr', '-c'], around)
    },
  },
  {
    // What a client reads in the close frame; another test compares it with every frame.
    file: 'docs/close-reasons.md',
    begins: '<reason>',
    check: (_t, code) => assert.equal(code, '<reason>\n<reason>; reconnect=<minMs>..<maxMs>'),
  },
  {
    file: 'docs/config.md',
    begins: 'peerpulse: 2 problems in the options:',
    check(_t, code) {
      const options = { heartbeat: { intervalms: 1 }, drain: { deadlineMs: 0 } } as never
      assert.throws(
        () => peerpulse(options),
        (error) => error instanceof ConfigError && error.message === code,
      )
    },
  },
  {
    // A line of the log; another test reads one of a process under pressure.
    file: 'docs/small-container.md',
    begins:
      'peerpulse: pressure is elevated (was normal): container at 81 %; most outbound bytes: connection 1207 (websocket, 203.0.113.9) 3.9 MiB, open for 412 s; ...',
    check(_t, code) {
      const source = readFileSync(join(root, 'lib/policies/holders.ts'), 'utf8')
      for (const words of ['most outbound bytes', 'open for']) {
        assert.ok(code.includes(words))
        assert.ok(source.includes(words), words)
      }
    },
  },
  {
    file: 'docs/small-container.md',
    begins:
      'peerpulse: under pressure of memory garbage was collected in 24 ms: JavaScript holds 14 MiB (before 122 MiB), 117 MiB are resident, of them 51 MiB kept without use',
    check(_t, code) {
      const MiB = 1024 * 1024
      const before = { rssBytes: 150 * MiB, usedBytes: 122 * MiB }
      const after = { rssBytes: 117 * MiB, usedBytes: 14 * MiB }
      const collected = { forced: true, tookMs: 24, isWorthIt: true, before, after, keptBytes: 51 * MiB }
      assert.equal(code.trim(), `peerpulse: ${describeCollected(collected)}`)
    },
  },
]

describe('what is no code is checked for what can be', () => {
  for (const check of checks) {
    const found = blocks.filter((block) => isFor(check, block))
    test(`${check.file}: ${check.begins.slice(0, 60)}`, async (t) => {
      assert.equal(found.length, 1, 'there is this block, once')
      await check.check(t, (found[0] as Block).code)
    })
  }
})

test('no block of a document is without a check', () => {
  assert.ok(blocks.length > 20)
  for (const block of blocks) {
    const held = isScript(block) ? scenes : checks
    assert.ok(
      held.some((one) => isFor(one, block)),
      `${block.file}:${block.line} (${block.language || 'no language'}): ${firstLine(block)}`,
    )
  }
})
