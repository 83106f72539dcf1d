import { readdirSync } from 'node:fs'

/** A file of this folder that asks one question. */
interface Bench {
  readonly run: () => Promise<void>
}

const here = new URL('.', import.meta.url)
const known = readdirSync(here)
  .filter((file) => file.endsWith('.js') && file !== 'run.js')
  .map((file) => file.slice(0, -'.js'.length))
  .sort()

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  console.error(`no bench named ${unknown.join(', ')}; there are ${known.join(', ')}`)
  process.exit(1)
}
let failed = false
for (const name of asked.length > 0 ? asked : known) {
  process.stderr.write(`${name} `)
  try {
    const { run } = (await import(new URL(`${name}.js`, here).href)) as Bench
    await run()
  } catch (error) {
    failed = true
    console.error(`${name}: ${(error as Error)?.stack ?? error}`)
  }
}
process.exit(failed ? 1 : 0)
