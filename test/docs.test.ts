import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { closeReasons } from '../lib/core/close-reason.js'
import { defaults, sectionDefaults } from '../lib/core/defaults.js'
import { errorCodes, warningCodes } from '../lib/core/errors.js'
import { channels } from '../lib/core/reports/events.js'
import { ConfigError, peerpulse } from '../lib/index.js'
import type { CloseReason } from '../types/close.js'
import type { PeerpulseOptions } from '../types/options.js'

const root = dirname(createRequire(import.meta.url).resolve('peerpulse/package.json'))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const docsFolder = readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)
const docNames = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docsFolder]
const docs = new Map(docNames.map((name) => [name, read(name)]))
const doc = (name: string) => docs.get(name) ?? assert.fail(`${name} is missing`)
const sorted = (values: Iterable<string>) => [...new Set(values)].sort()

/** The rows of every table in a document, as their cells. A `\|` inside a cell is no border. */
function tableRows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\|[\s|:-]+$/.test(line))
    .map((line) => line.slice(1, -1).split(/(?<!\\)\|/))
    .map((cells) => cells.map((cell) => cell.trim().replaceAll('\\|', '|')))
}

/** The tables below one heading. */
function rowsBelow(text: string, heading: string): string[][] {
  const start = text.indexOf(`\n${heading}\n`)
  assert.notEqual(start, -1, `there is a heading '${heading}'`)
  const level = heading.split(' ')[0]?.length ?? 1
  const rest = text.slice(start + heading.length + 2)
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'))
  return tableRows(end === -1 ? rest : rest.slice(0, end))
}

const codeSpan = (cell: string | undefined) => /^`([^`]+)`/.exec(cell ?? '')?.[1]
const codeSpans = (cell: string | undefined) =>
  [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, code]) => code)

// Options ----------------------------------------------------------------------------------------

/** The options that a place of the options object knows, as its own error message lists them. */
function knownAt(path: readonly string[]): string[] {
  const unknown = 'nothing_is_called_like_this_one'
  const options = [...path, unknown].reduceRight<unknown>((inner, key) => ({ [key]: inner }), 1)
  try {
    peerpulse(options as PeerpulseOptions)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    const problem = error.problems.find((line) => line.includes(`${unknown}: unknown option`)) ?? ''
    const [, names] = /the options here are (.+)$/.exec(problem) ?? assert.fail(problem)
    return String(names).split(', ')
  }
  assert.fail(`${path.join('.')} takes anything`)
}

const isOn = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Every option that there is, with the default where there is one. */
function allOptions(): Map<string, unknown> {
  const all = new Map<string, unknown>()
  const standing = { ...defaults, ...sectionDefaults } as Record<string, unknown>
  for (const name of knownAt([])) {
    if (name === 'log' || name === 'dryRun') {
      all.set(name, standing[name])
      continue
    }
    if ((defaults as Record<string, unknown>)[name] === false) all.set(name, false)
    const section = standing[name] as Record<string, unknown>
    for (const key of knownAt([name])) {
      const value = isOn(section) ? section[key] : undefined
      all.set(`${name}.${key}`, value)
      if (!isOn(value)) continue
      for (const inner of knownAt([name, key])) {
        all.set(`${name}.${key}.${inner}`, (value as Record<string, unknown>)[inner])
      }
    }
  }
  return all
}

describe('docs/config.md', () => {
  const options = allOptions()
  const rows = tableRows(doc('docs/config.md')).filter(([first]) => first !== 'option')

  test('has every option, once, and none that does not exist', () => {
    const documented = rows.map(([first]) => codeSpan(first) ?? '')
    assert.deepEqual([...documented].sort(), sorted(options.keys()))
  })

  test("says the code's defaults", () => {
    for (const [path, , says] of rows) {
      const name = codeSpan(path) ?? ''
      const value = options.get(name)
      if (value === undefined) assert.ok(says === 'none' || says === 'required', `${name}: ${says}`)
      else assert.deepEqual(literal(codeSpan(says) ?? ''), value, name)
    }
  })

  test('says which options are required', () => {
    for (const [path, , says] of rows) {
      const [section = '', key = ''] = (codeSpan(path) ?? '').split('.')
      if (key === '') continue
      let problems: readonly string[] = []
      try {
        peerpulse({ [section]: {} })
      } catch (error) {
        assert.ok(error instanceof ConfigError)
        problems = error.problems
      }
      assert.equal(
        says === 'required',
        problems.includes(`${section}.${key}: is required`),
        `${section}.${key}`,
      )
    }
  })

  test('says for which options false is a value, and callers may trust it', () => {
    for (const [path, type] of rows) {
      const keys = (codeSpan(path) ?? '').split('.')
      if (keys[0] === 'log' || keys[0] === 'dryRun') continue
      const required = { lifetime: { maxAgeMs: 1 }, behind: { idleTimeoutMs: 1_000 } } as Record<
        string,
        object
      >
      const value =
        keys.length === 1
          ? { [keys[0] ?? '']: false }
          : keys
              .slice(1)
              .reverse()
              .reduce<unknown>((inner, key) => ({ [key]: inner }), false)
      const given =
        keys.length === 1 ? value : { [keys[0] ?? '']: { ...required[keys[0] ?? ''], ...(value as object) } }
      const takesFalse = /\bfalse\b|\bboolean\b/.test(type ?? '')
      const isTaken = (() => {
        try {
          peerpulse(given as PeerpulseOptions)
          return true
        } catch {
          return false
        }
      })()
      assert.equal(isTaken, takesFalse, `${keys.join('.')}: ${type}`)
    }
  })
})

/** `25_000`, `'auto'`, `[0.8, 0.92]`, `{ limitBytes: 'auto' }` as a value. */
function literal(text: string): unknown {
  return JSON.parse(
    text
      .replace(/(?<=\d)_(?=\d)/g, '')
      .replaceAll("'", '"')
      .replace(/(\w+):/g, '"$1":'),
  )
}

test('every option that any document names exists, and the README names every section', () => {
  const paths = new Set(allOptions().keys())
  const sectionNames = knownAt([])
  for (const [name, text] of docs) {
    for (const [, path] of text.matchAll(
      new RegExp(`\`((?:${sectionNames.join('|')})(?:\\.\\w+)+)\``, 'g'),
    )) {
      assert.ok(paths.has(path ?? ''), `${name} names the option ${path}`)
    }
  }
  const readme = rowsBelow(doc('README.md'), '## Options at a glance').map(([first]) => codeSpan(first) ?? '')
  assert.deepEqual(readme.slice(1), sectionNames)
})

// Close reasons ----------------------------------------------------------------------------------

describe('docs/close-reasons.md', () => {
  const text = doc('docs/close-reasons.md')
  const reasons = Object.keys(closeReasons) as CloseReason[]

  test('has the table of the code', () => {
    const rows = tableRows(text.slice(0, text.indexOf('\n## ')))
    const table = rows.slice(1).map(([reason, code, reconnect, meaning]) => ({
      reason: codeSpan(reason),
      webSocketCode: code === 'none' ? undefined : Number(code),
      reconnect,
      meaning,
    }))
    assert.deepEqual(
      table,
      reasons.map((reason) => ({ reason, ...closeReasons[reason] })),
    )
  })

  test('explains each reason', () => {
    const headings = [...text.matchAll(/^### `(.+)`$/gm)].map(([, reason]) => reason)
    assert.deepEqual(headings, reasons)
    for (const section of text.split(/^### /m).slice(1)) assert.match(section, /\*\*Do:\*\*/)
  })

  test('has every field of the evidence', () => {
    const fields = rowsBelow(text, '## Evidence').slice(1)
    assert.deepEqual(
      fields.flatMap(([names]) => codeSpans(names)).sort(),
      membersOf('types/close.ts', 'CloseEvidence'),
    )
  })

  test('says what a client reads in the close frame', async () => {
    const server = createServer()
    const wss = new WebSocketServer({ server })
    const pulse = peerpulse({ drain: { signals: [] } })
    pulse.attach(server, wss)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const pattern = new RegExp(/const window = \/(.+)\/\.exec/.exec(text)?.[1] ?? 'none')
    for (const reason of reasons) {
      const accepted = once(wss, 'connection') as Promise<[WebSocket]>
      const client = new WebSocket(`ws://127.0.0.1:${port}`)
      const closed = once(client, 'close') as Promise<[number, Buffer]>
      const [webSocket] = await accepted
      await once(client, 'open')
      pulse.connectionOf(webSocket)?.close(reason)
      const [code, frame] = await closed
      const { webSocketCode, reconnect } = closeReasons[reason]
      assert.equal(code, webSocketCode ?? 1000, reason)
      assert.ok(frame.length <= 123)
      const window = pattern.exec(frame.toString())
      const [least, most] = { no: [undefined, undefined], yes: ['0', '5000'], later: ['5000', '10000'] }[
        reconnect
      ]
      assert.deepEqual([window?.[1], window?.[2]], [least, most], frame.toString())
      assert.equal(frame.toString().split(';')[0], reason)
    }
    await pulse.detach()
    wss.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
})

// Events -----------------------------------------------------------------------------------------

/** The members of an exported interface, in a file of contracts. */
function membersOf(path: string, name: string): string[] {
  const [, body] =
    new RegExp(`^export interface ${name} \\{\\n(.*?)^\\}`, 'ms').exec(read(path)) ?? assert.fail(name)
  return sorted(
    [...(body ?? '').matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map(([, member]) => member ?? ''),
  )
}

describe('docs/events.md', () => {
  const text = doc('docs/events.md')
  const events = Object.keys(channels)
  const payloads = new Map(
    [...read('types/events.ts').matchAll(/^ {2}'?([\w:]+)'?: (Connection|[A-Z]\w+)$/gm)].map(
      ([, event, payload]) => [event ?? '', payload ?? ''],
    ),
  )

  test('has every event with its channel and payload', () => {
    const table = tableRows(text.slice(0, text.indexOf('\n## '))).slice(1)
    assert.deepEqual(
      table.map((row) => row.map(codeSpan)),
      events.map((event) => [
        event,
        channels[event as keyof typeof channels].name as string,
        payloads.get(event),
      ]),
    )
    const headings = [...text.matchAll(/^## `(.+)`$/gm)].map(([, event]) => event)
    assert.deepEqual(headings, events)
  })

  test('has every field of every payload', () => {
    for (const event of events) {
      const payload = payloads.get(event) ?? ''
      if (payload === 'Connection') continue
      const fields = rowsBelow(text, `## \`${event}\``).slice(1)
      assert.deepEqual(
        fields.flatMap(([names]) => codeSpans(names)).sort(),
        membersOf('types/events.ts', payload),
        event,
      )
    }
    const members = rowsBelow(text, '## The `Connection` payload').slice(1)
    assert.deepEqual(
      members.flatMap(([names]) => codeSpans(names)).sort(),
      membersOf('types/connection.ts', 'Connection'),
    )
  })

  test('names no event or channel that does not exist, nor does another document', () => {
    const names = new Set([...events, ...events.map((event) => `peerpulse:${event}`), 'peerpulse:<event>'])
    for (const [name, other] of docs) {
      for (const [, event] of other.matchAll(/`((?:peerpulse|connection|pressure|drain|check):[\w:<>]+)`/g)) {
        assert.ok(names.has(event ?? ''), `${name} names the event ${event}`)
      }
    }
  })
})

// Errors -----------------------------------------------------------------------------------------

describe('docs/errors.md', () => {
  const text = doc('docs/errors.md')
  const codes = [...Object.keys(errorCodes), ...Object.keys(warningCodes)]

  test('explains every error and every warning, with cause and fix', () => {
    const headings = [...text.matchAll(/^### `(.+)`$/gm)].map(([, code]) => code)
    assert.deepEqual(headings, codes)
    for (const section of text.split(/^### /m).slice(1)) {
      assert.match(section, /\*\*Cause\.\*\*/)
      assert.match(section, /\*\*Fix\.\*\*/)
    }
  })

  test('names no code that does not exist, nor does another document', () => {
    for (const [name, other] of docs) {
      for (const [code] of other.matchAll(/PEERPULSE_\w+/g))
        assert.ok(codes.includes(code), `${name} names ${code}`)
    }
  })

  test('every code is one that the library uses', () => {
    const files = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    const sources = files.flatMap((file) => (file.endsWith('.ts') ? read(join('lib', file)) : [])).join('\n')
    // Each has its own line in the table of codes, without quotes.
    for (const code of codes) assert.ok(sources.includes(`'${code}'`), `${code} is used`)
  })
})

// Everything else --------------------------------------------------------------------------------

test('every method, and every file, that a document names exists', () => {
  const pulse = peerpulse()
  for (const [name, text] of docs) {
    for (const [, member] of text.matchAll(/\bpulse\.(\w+)/g))
      assert.ok((member ?? '') in pulse, `${name} names pulse.${member}`)
    for (const [, link] of text.matchAll(/\]\((?!https?:)([^)#]+)/g))
      assert.ok(existsSync(join(root, dirname(name), link ?? '')), `${name} links to ${link}`)
    for (const [, target, anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)) {
      const other = target === '' ? text : doc(join(dirname(name), target ?? ''))
      const anchors = [...other.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
        (heading ?? '')
          .toLowerCase()
          .replace(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      )
      assert.ok(anchors.includes(anchor ?? ''), `${name} links to ${target}#${anchor}`)
    }
  }
})

test('every npm script that a document names exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const [name, text] of docs) {
    for (const [, script] of text.matchAll(/npm run (\w+)/g))
      assert.ok(Object.hasOwn(scripts, script ?? ''), `${name} names npm run ${script}`)
  }
  assert.match(doc('README.md'), /^npm ci && npm run demo$/m)
  assert.match(doc('README.md'), /^npm ci && npm test$/m)
})

test("the README's server runs, answers, and ends by itself on SIGTERM", { timeout: 60_000 }, async () => {
  const [, program = ''] = /## Start\n.*?```js\n(.*?)```/s.exec(doc('README.md')) ?? []
  const child = spawn(process.execPath, ['--input-type=module'], {
    cwd: root,
    env: { ...process.env, PORT: '0' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>
  try {
    child.stdin.end(program)
    let output = ''
    const port = await new Promise<string>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        output += chunk
        const [, number] = /listening on port (\d+)\n/.exec(output) ?? []
        if (number !== undefined) resolve(number)
      })
      child.once('exit', () => reject(new Error(`it ended: ${output}`)))
    })
    assert.deepEqual(await request(`http://127.0.0.1:${port}/`), [200, 'hello\n'])
    assert.equal((await request(`http://127.0.0.1:${port}/readyz?verbose`))[0], 200)
    const client = new WebSocket(`ws://127.0.0.1:${port}`)
    const closed = once(client, 'close') as Promise<[number, Buffer]>
    await once(client, 'open')
    client.send('hi')
    assert.equal(String((await once(client, 'message'))[0]), 'you said hi')
    child.kill('SIGTERM')
    const [code, reason] = await closed
    assert.equal(code, 1012)
    assert.match(String(reason), /^drain; reconnect=0\.\.5000$/)
    assert.deepEqual(await exited, [0, null])
    assert.match(output, /^connection \d+: drain$/m)
  } finally {
    child.kill('SIGKILL')
  }
})

function request(url: string): Promise<[number | undefined, string]> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (res) => {
      let body = ''
      res.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      res.on('end', () => resolve([res.statusCode, body]))
      res.on('error', reject)
    }).on('error', reject)
  })
}

// Figures ----------------------------------------------------------------------------------------

interface Verdict {
  what: string
  unit: string
  net: number
  atMost?: number
  atLeast?: number
  met?: boolean
}

/** As docs/performance.md writes it. */
function figure({ net, unit }: Verdict): string {
  return unit === 'ratio' ? net.toFixed(2) : `${Number(net.toPrecision(3))} ${unit}`
}

function limit({ atMost, atLeast }: Verdict): string {
  return atMost !== undefined ? `at most ${atMost}` : atLeast !== undefined ? `at least ${atLeast}` : ''
}

test('the figures are those of the last run of the benches, the missed ones too', () => {
  const results = readdirSync(join(root, 'bench/results')).filter((name) => name.endsWith('.json'))
  for (const name of results) assert.ok(existsSync(join(root, 'bench', name.replace('.json', '.ts'))), name)
  const judged = results.flatMap((name) =>
    (JSON.parse(read(`bench/results/${name}`)) as { verdicts: Verdict[] }).verdicts
      .filter(({ met }) => met !== undefined)
      .map((verdict) => [
        verdict.what,
        verdict.met ? figure(verdict) : `**${figure(verdict)}**`,
        limit(verdict),
        `\`${name.replace('.json', '')}\``,
      ]),
  )
  const [, ...rows] = rowsBelow(doc('docs/performance.md'), '## The figures')
  const ofBench = (a: string[], b: string[]) => String([a[3], a[0]]).localeCompare(String([b[3], b[0]]))
  assert.deepEqual(rows.sort(ofBench), judged.sort(ofBench))
})
