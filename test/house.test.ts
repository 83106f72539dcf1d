import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { describe, test } from 'node:test'

const root = dirname(createRequire(import.meta.url).resolve('peerpulse/package.json'))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>

/** Every source file of a folder of the package, by its path with `/`, without comments. */
function sourcesOf(folder: string): Map<string, string> {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return new Map(
    names
      .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
      .filter((path) => path.endsWith('.ts'))
      .map((path) => [path, withoutComments(readFileSync(join(root, path), 'utf8'))]),
  )
}

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
}

/** What a file imports: static and dynamic imports, re-exports, `import('...')` types and calls of a `require`. */
function importsOf(source: string): string[] {
  return [
    ...source.matchAll(/^(?:import|export)\b[^'"]*?from\s*'([^']+)'/gms),
    ...source.matchAll(/^import\s*'([^']+)'/gm),
    ...source.matchAll(/\bimport\(\s*'([^']+)'/g),
    ...source.matchAll(/\b(?:require|createRequire\([^)]*\))\(\s*'([^']+)'/g),
  ].map(([, specifier]) => specifier ?? '')
}

interface Import {
  readonly from: string
  /** A path of the package, or the specifier of something outside. */
  readonly to: string
  readonly isOurs: boolean
}

const sources = new Map([...sourcesOf('types'), ...sourcesOf('lib')])
const imports: Import[] = [...sources].flatMap(([from, source]) =>
  importsOf(source).map((specifier) => {
    const isOurs = specifier.startsWith('.')
    const to = isOurs ? posix.join(posix.dirname(from), specifier).replace(/\.js$/, '.ts') : specifier
    return { from, to, isOurs }
  }),
)

const wiring = 'lib/peerpulse.ts'
const index = 'lib/index.ts'
const rooms = ['transports', 'policies', 'monitors', 'health', 'insight']

/** The part of the house that a file stands in. */
function partOf(path: string): string {
  if (path === wiring || path === index) return path
  const [top = '', folder = ''] = path.split('/')
  return top === 'types' ? 'types' : folder
}

/** What each part may import of the others. */
const mayImport: Record<string, readonly string[]> = {
  types: ['types'],
  core: ['types', 'core'],
  ...Object.fromEntries(rooms.map((room) => [room, ['types', 'core', room]])),
  adapters: ['types', 'adapters'],
  [wiring]: ['types', 'core', ...rooms, 'adapters'],
  [index]: ['types', 'core', 'adapters', wiring],
}

describe('imports', () => {
  test('are found: this test reads what it believes to read', () => {
    assert.ok(sources.size > 40)
    for (const { from, to, isOurs } of imports)
      if (isOurs) assert.ok(sources.has(to), `${from} imports ${to}`)
    for (const [path, source] of sources) {
      const lines = source.match(/\bfrom '.+'$/gm) ?? []
      assert.ok(imports.filter(({ from }) => from === path).length >= lines.length, path)
    }
  })

  test('stand in a part of the house that is known', () => {
    for (const path of sources.keys()) assert.ok(Object.hasOwn(mayImport, partOf(path)), path)
  })

  test('go one way, and siblings never import each other', () => {
    const wrong = imports.filter(
      ({ from, to, isOurs }) => isOurs && !(mayImport[partOf(from)] ?? []).includes(partOf(to)),
    )
    assert.deepEqual(wrong, [])
  })

  test('never go in circles', () => {
    const done = new Set<string>()
    // Contracts may name each other: at run time they are not there.
    const visit = (path: string, trail: readonly string[]): void => {
      if (done.has(path) || partOf(path) === 'types') return
      assert.ok(!trail.includes(path), [...trail, path].join(' -> '))
      for (const { from, to, isOurs } of imports) if (isOurs && from === path) visit(to, [...trail, path])
      done.add(path)
    }
    for (const path of sources.keys()) visit(path, [])
  })

  test('of packages stand in adapters alone, but for the validator and the cache', () => {
    const homes: Record<string, readonly string[]> = {
      valibot: ['lib/core/config.ts', 'lib/core/config-schema.ts'],
      'lru-cache': ['lib/insight/close-history.ts'],
    }
    for (const { from, to, isOurs } of imports) {
      if (isOurs || to.startsWith('node:')) continue
      if (homes[to] !== undefined) assert.ok(homes[to].includes(from), `${from} imports ${to}`)
      else assert.equal(partOf(from), 'adapters', `${from} imports ${to}`)
    }
  })

  test('name only packages that are installed with ours, and all of them', () => {
    const named = imports.filter(({ to, isOurs }) => !isOurs && !to.startsWith('node:')).map(({ to }) => to)
    assert.deepEqual([...new Set(named)].sort(), Object.keys(manifest.dependencies as object).sort())
  })

  test("of Node's modules say node:", () => {
    for (const { from, to, isOurs } of imports) {
      if (!isOurs) assert.ok(to.startsWith('node:') || /[-/]|^valibot$/.test(to), `${from} imports ${to}`)
    }
  })
})

test('contracts have no code', () => {
  for (const [path, source] of sourcesOf('types')) {
    assert.doesNotMatch(source, /^(?:export )?(?:const|let|var|function|class|enum)\b/m, path)
    for (const [line] of source.matchAll(/^import\b.*$/gm)) assert.match(line, /^import type /, path)
  }
})

test('only the clock makes timers', () => {
  for (const [path, source] of sourcesOf('lib')) {
    if (path === 'lib/core/clock.ts') continue
    assert.doesNotMatch(source, /\bset(?:Timeout|Interval)\s*\(|node:timers/, path)
  }
})

test('nothing global is touched: no prototype and no global object is written to', () => {
  for (const [path, source] of sourcesOf('lib')) {
    assert.doesNotMatch(source, /\.prototype(?:\.\w+|\[[^\]]+\])?\s*=[^=]/, path)
    assert.doesNotMatch(source, /\bglobal(?:This)?\.\w+\s*=[^=]/, path)
  }
})

test('files are nouns in kebab-case', () => {
  const folders = ['lib', 'types', 'test']
  for (const path of folders.flatMap((folder) => [...sourcesOf(folder).keys()])) {
    assert.match(path, /^(?:[a-z][a-z0-9]*(?:-[a-z0-9]+)*\/)+[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?:\.test)?\.ts$/)
  }
})

test('a file fits on a few screens, but for the wiring', () => {
  for (const path of sources.keys()) {
    if (path === wiring) continue
    const lines = readFileSync(join(root, path), 'utf8').split('\n').length
    assert.ok(lines <= 400, `${path} has ${lines} lines: two ideas?`)
  }
})
