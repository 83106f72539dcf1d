import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, posix } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const root = dirname(require.resolve('peerpulse/package.json'))

/** The environment less what `npm test` has put into it: another package is the matter here. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) =>
      !/^(?:npm_(?:package|lifecycle|command)|npm_config_local_prefix|INIT_CWD|NODE_TEST)/.test(name),
  ),
)

async function npm(cwd: string, ...args: string[]): Promise<string> {
  const { stdout } = await run('npm', args, { cwd, env: environment, timeout: 120_000 })
  return stdout
}

async function node(cwd: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  try {
    return await run(process.execPath, args, { cwd, env: environment, timeout: 120_000 })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${args.join(' ')} failed:\n${stdout}${stderr}`)
  }
}

describe('the packed tarball', { timeout: 300_000 }, () => {
  let folder = ''
  let files: string[] = []

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peerpulse-packaging-'))
    // What is packed is what was built: other tests use dist/ at this moment.
    const packed = await npm(root, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder)
    const [{ filename, files: entries }] = JSON.parse(packed) as [
      { filename: string; files: { path: string }[] },
    ]
    files = entries.map(({ path }) => path)
    await cp(join(root, 'test/consumers'), folder, { recursive: true })
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
    await npm(
      folder,
      'install',
      '--prefer-offline',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      `./${filename}`,
    )
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('has the code, the types and the documents, and nothing else', () => {
    for (const file of [
      'package.json',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'dist/lib/index.js',
      'dist/lib/index.d.ts',
      'docs/config.md',
      'docs/close-reasons.md',
      'docs/events.md',
      'docs/errors.md',
      'docs/architecture.md',
    ]) {
      assert.ok(files.includes(file), `${file} is in it`)
    }
    for (const file of files) {
      assert.match(
        file,
        /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|docs\/[\w-]+\.md|bench\/results\/heartbeat\.svg|dist\/(?:lib|types)\/.+)$/,
      )
      assert.doesNotMatch(file, /test|\.tsbuildinfo$/)
    }
  })

  test('has what its manifest points at, and no script that runs at install', async () => {
    const installed = join(folder, 'node_modules/peerpulse')
    const manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
    for (const target of [
      manifest.types,
      ...Object.values(manifest.exports['.']),
      manifest.exports['./package.json'],
    ])
      assert.ok(files.includes(String(target).replace('./', '')), String(target))
    // npm asks about `prepare` too, where the package comes from git.
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare'])
      assert.equal(manifest.scripts[script], undefined)
    assert.equal(manifest.scripts.prepack, 'npm run build')
  })

  test('has no empty file', async () => {
    for (const file of files) {
      const text = await readFile(join(folder, 'node_modules/peerpulse', file), 'utf8')
      assert.notEqual(text.replace('export {};', '').trim(), '', file)
    }
  })

  test('has what its documents link to and show', async () => {
    let links = 0
    for (const file of files.filter((name) => name.endsWith('.md'))) {
      const text = await readFile(join(folder, 'node_modules/peerpulse', file), 'utf8')
      for (const [, link = ''] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
        assert.ok(files.includes(posix.join(posix.dirname(file), link)), `${file} links to ${link}`)
        links++
      }
    }
    assert.ok(links > 20)
  })

  test('type-checks in an ESM consumer and in one with require(), which have neither ws nor Express', async () => {
    const typescript = require.resolve('typescript/package.json')
    const { bin } = JSON.parse(await readFile(typescript, 'utf8')) as { bin: { tsc: string } }
    const types = join(dirname(require.resolve('@types/node/package.json')), '..')
    await node(folder, join(dirname(typescript), bin.tsc), '-p', '.', '--typeRoots', types)
  })

  test('runs when it is imported', async () => {
    const { stdout, stderr } = await node(folder, 'esm/main.js')
    assert.equal(stdout, 'the ESM consumer is content\n')
    assert.equal(stderr, '')
  })

  test('runs when it is required', async () => {
    const { stdout } = await node(folder, 'commonjs/main.js')
    assert.equal(stdout, 'the CommonJS consumer is content\n')
  })
})
