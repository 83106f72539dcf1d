import { WebSocket } from 'ws'

// 20 clients that read, 20 that stop reading, for half a minute; then it says what they saw.
const url = process.argv[2] ?? 'ws://localhost:3000/feed'
const seconds = Number(process.argv[3] ?? 30)
const seen = { messages: 0, closed: /** @type {Record<string, number>} */ ({}), refused: 0 }

const clients = Array.from({ length: 40 }, (_, i) => {
  const client = new WebSocket(url)
  const kind = i % 2 === 0 ? 'reads' : 'stopped reading'
  client.on('message', () => {
    if (kind === 'reads') seen.messages++
    else client.pause()
  })
  client.on('unexpected-response', () => seen.refused++)
  client.on('error', () => {})
  client.on('close', (code) => {
    const what = `${kind}: ${code}`
    seen.closed[what] = (seen.closed[what] ?? 0) + 1
  })
  return client
})

setTimeout(() => {
  console.log(seen)
  for (const client of clients) client.terminate()
}, seconds * 1_000)
