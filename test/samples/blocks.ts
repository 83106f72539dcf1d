import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

export const root = dirname(createRequire(import.meta.url).resolve('peerpulse/package.json'))

/** A fenced block of a document. */
export interface Block {
  readonly file: string
  readonly line: number
  /** What stands behind the fence; empty where nothing does. */
  readonly language: string
  readonly code: string
}

export const documents: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
]

export function blocksOf(file: string): Block[] {
  const blocks: Block[] = []
  let open: { line: number; language: string; code: string[] } | undefined
  readFileSync(join(root, file), 'utf8')
    .split('\n')
    .forEach((text, i) => {
      const fence = /^\s*```(.*)$/.exec(text)
      if (fence === null) open?.code.push(text)
      else if (open === undefined) open = { line: i + 1, language: fence[1] ?? '', code: [] }
      else {
        blocks.push({ file, line: open.line, language: open.language, code: open.code.join('\n') })
        open = undefined
      }
    })
  if (open !== undefined) throw new Error(`${file}:${open.line}: a block without an end`)
  return blocks
}
