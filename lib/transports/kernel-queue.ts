import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { endianness } from 'node:os'
import type { PeerConnection } from '../core/connection.js'

/** Linux lists every socket of this network there: `tx_queue` is what the peer has not acknowledged yet. */
const tables = { IPv4: '/proc/net/tcp', IPv6: '/proc/net/tcp6' }
type Family = keyof typeof tables

/** Searched for rows in one reading, about 10 ms of work; with 10,000 sockets a table has 1.5 MB. */
const maxSearchedBytes = 16 * 1024 * 1024

/** What the kernel holds for each connection. `undefined`: it does not say. One that is missing was not asked for yet. */
export type KernelQueues = Map<PeerConnection, number | undefined>

type ReadTable = (path: string) => Promise<Buffer>

/** Asks the kernel for the queues of connections, off the event loop. Elsewhere than on Linux, nobody can be asked. */
export async function readKernelQueues(
  connections: readonly PeerConnection[],
  readTable: ReadTable = (path) => readFile(path),
): Promise<KernelQueues> {
  const queues: KernelQueues = new Map()
  const rows = connections.map((connection) => ({ connection, row: rowOf(connection.socket) }))
  const read = new Map<Family, Buffer | undefined>()
  for (const family of new Set(rows.flatMap(({ row }) => row?.family ?? [])))
    read.set(family, await readTable(tables[family]).catch(() => undefined))
  let searched = 0
  for (const { connection, row } of rows) {
    const table = row && read.get(row.family)
    searched += table?.length ?? 0
    if (searched > maxSearchedBytes && queues.size > 0) break
    queues.set(connection, row && table && queueIn(table, row.key))
  }
  return queues
}

function rowOf(socket: Socket): { family: Family; key: string } | undefined {
  const { localAddress, localPort, remoteAddress, remotePort } = socket
  if (!localAddress || !remoteAddress || localPort === undefined || remotePort === undefined) return undefined
  const local = hexAddress(localAddress)
  const remote = hexAddress(remoteAddress)
  if (local === undefined || remote === undefined) return undefined
  const family = localAddress.includes(':') ? 'IPv6' : 'IPv4'
  return { family, key: ` ${local}:${hex(localPort, 4)} ${remote}:${hex(remotePort, 4)} ` }
}

/** Bytes in the send queue of the socket with this key; its row goes on with the state and `tx_queue:rx_queue`. */
export function queueIn(table: Buffer, key: string): number | undefined {
  const at = table.indexOf(key, 0, 'latin1')
  if (at === -1) return undefined
  const start = at + key.length
  const queue = /^[\dA-F]{2} ([\dA-F]{8}):/i.exec(table.toString('latin1', start, start + 12))?.[1]
  return queue === undefined ? undefined : Number.parseInt(queue, 16)
}

/** An address as the tables write it: words of 32 bits, each in the byte order of the machine. */
export function hexAddress(address: string, isLittleEndian = endianness() === 'LE'): string | undefined {
  const bytes = address.includes(':') ? bytesOfV6(address) : bytesOfV4(address)
  if (bytes === undefined) return undefined
  let text = ''
  for (let i = 0; i < bytes.length; i += 4) {
    const word = bytes.slice(i, i + 4)
    if (isLittleEndian) word.reverse()
    for (const byte of word) text += hex(byte, 2)
  }
  return text
}

const hex = (value: number, digits: number) => value.toString(16).toUpperCase().padStart(digits, '0')

function bytesOfV4(address: string): number[] | undefined {
  const bytes = address.split('.').map(Number)
  return bytes.length === 4 && bytes.every((byte) => byte >= 0 && byte <= 255) ? bytes : undefined
}

function bytesOfV6(address: string): number[] | undefined {
  const [head = [], tail] = (address.split('%')[0] ?? '').split('::').map(bytesOfGroups)
  const end = tail ?? []
  const zeros = 16 - head.length - end.length
  if (tail === undefined ? zeros !== 0 : zeros < 0) return undefined
  return [...head, ...new Array<number>(zeros).fill(0), ...end]
}

/** Groups of 16 bits, the last two of which may be written as an IPv4 address. */
function bytesOfGroups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return bytesOfV4(group) ?? []
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 255]
  })
}
