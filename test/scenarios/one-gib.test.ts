import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runFeed } from '../../bench/harness/feed-run.js'
import { canWatchMemory } from '../../bench/harness/process-memory.js'

const MiB = 1024 * 1024
const readers = 50
const deaf = 50
const seconds = 60

/** The run of ten minutes, which also compares latencies, is `npm run bench -- one-gib`. */
test('50 of 100 clients stop reading 1 MiB/s each, for a minute, on a box of 1 GiB', async (t) => {
  if (!canWatchMemory) return t.skip('needs /proc to read the memory of another process')
  const { memory, killedAfterS, closes, readersOpen, sent, lost } = await runFeed({
    plugin: 'peerpulse',
    options: { pressure: { memory: { limitBytes: 1024 * MiB } } },
    readers,
    deaf,
    seconds,
    killAtBytes: 1024 * MiB,
  })
  t.diagnostic(`${Math.round(memory.peakBytes / MiB)} MiB of RSS at most, ${sent} messages to those who read`)
  assert.equal(killedAfterS, undefined, 'it passed 1 GiB')
  assert.deepEqual(closes, { 'slow-consumer': deaf })
  assert.equal(readersOpen, readers)
  assert.ok(sent > 0)
  assert.equal(lost, 0)
  assert.ok(memory.peakBytes < 256 * MiB, `${memory.peakBytes / MiB} MiB of RSS`)
})
