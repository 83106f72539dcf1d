import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { PeerConnection } from '../../lib/core/connection.js'
import { hexAddress, queueIn, readKernelQueues } from '../../lib/transports/kernel-queue.js'

/** Recorded; the sockets of v6 are of a dual-stack server and of a plain one. */
const table4 = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 64 1 000000000c11e1f8 100 0 0 10 0                        
   1: 0100007F:9C5D 0100007F:BA88 01 00270F31:00000000 01:00000876 00000000     0        0 7741 3 00000000dcef04b1 20 4 30 10 -1                     
   2: 0100007F:BA88 0100007F:9C5D 01 00000000:00600000 00:00000000 00000000     0        0 7742 1 00000000dcef04b2 20 4 30 10 -1                     
`
const table6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:9C89 0000000000000000FFFF00000100007F:C50C 01 00000A00:00000000 03:0000076D 00000000     0        0 0 3 000000002269c86a
   1: B80D01200000000000000000010000AB:0050 B80D0120000000000000000002000000:C500 01 00000001:00000000 03:0000076B 00000000     0        0 0 3 00000000420c5e93
`

function connectionOn(
  localAddress: string | undefined,
  localPort: number,
  remoteAddress: string,
  remotePort: number,
): PeerConnection {
  const socket = { localAddress, localPort, remoteAddress, remotePort } as Socket
  return { socket } as PeerConnection
}

test('addresses are written as the kernel writes them', () => {
  const expected = {
    '127.0.0.1': '0100007F',
    '10.1.2.3': '0302010A',
    '::1': '00000000000000000000000001000000',
    '::': '0'.repeat(32),
    '::ffff:127.0.0.1': '0000000000000000FFFF00000100007F',
    '2001:db8::2': 'B80D0120000000000000000002000000',
    '2001:db8:0:0:0:0:ab00:1': 'B80D01200000000000000000010000AB',
    'fe80::1:2%eth0': '000080FE000000000000000002000100',
  }
  for (const [address, hex] of Object.entries(expected)) assert.equal(hexAddress(address, true), hex, address)
  assert.equal(hexAddress('127.0.0.1', false), '7F000001')
  for (const nonsense of ['', 'localhost', '1.2.3', '1.2.3.400', '1:2:3', '1:2:3:4:5:6:7:8:9'])
    assert.equal(hexAddress(nonsense, true), undefined, nonsense)
})

test('a queue is found by both ends, whichever end is ours', async () => {
  const ours = connectionOn('127.0.0.1', 0x9c5d, '127.0.0.1', 0xba88)
  const theirs = connectionOn('127.0.0.1', 0xba88, '127.0.0.1', 0x9c5d)
  const mapped = connectionOn('::ffff:127.0.0.1', 0x9c89, '::ffff:127.0.0.1', 0xc50c)
  const plain = connectionOn('2001:db8::ab00:1', 80, '2001:db8::2', 0xc500)
  const gone = connectionOn('127.0.0.1', 1, '127.0.0.1', 2)
  const unix = connectionOn(undefined, 0, '', 0)
  const all = [ours, theirs, mapped, plain, gone, unix]
  const queues = await readKernelQueues(all, async (path) =>
    Buffer.from(path.endsWith('6') ? table6 : table4),
  )
  assert.deepEqual(
    all.map((connection) => queues.get(connection)),
    [0x270f31, 0, 0xa00, 1, undefined, undefined],
  )
  assert.equal(queues.size, all.length)
})

test('a table that is not there, or is no table, says nothing and throws nothing', async () => {
  const connection = connectionOn('127.0.0.1', 0x9c5d, '127.0.0.1', 0xba88)
  const key = ' 0100007F:9C5D 0100007F:BA88 '
  for (const text of ['', key, `${key}01 0027`, `${key}01 zzzzzzzz:00000000`, '\0'.repeat(500)]) {
    assert.equal(queueIn(Buffer.from(text), key), undefined)
    const queues = await readKernelQueues([connection], async () => Buffer.from(text))
    assert.deepEqual([...queues], [[connection, undefined]])
  }
  const queues = await readKernelQueues([connection], () => Promise.reject(new Error('ENOENT')))
  assert.deepEqual([...queues], [[connection, undefined]])
})

test('a reading of very large tables is bounded, and leaves the others for the next', async () => {
  const connections = Array.from({ length: 10 }, (_, i) => connectionOn('127.0.0.1', i, '127.0.0.1', 9))
  const queues = await readKernelQueues(connections, async () => Buffer.alloc(6 * 1024 * 1024))
  assert.deepEqual([...queues.keys()], connections.slice(0, 2))
  const one = await readKernelQueues(connections, async () => Buffer.alloc(40 * 1024 * 1024))
  assert.equal(one.size, 1)
})
