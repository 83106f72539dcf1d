import { createServer } from 'node:http'
import type { CloseReason, PeerpulseOptions } from 'peerpulse'
import { type WebSocket, WebSocketServer } from 'ws'
import { monotonicMs } from '../harness/monotonic.js'
import { stamped } from '../harness/stamp.js'
import type { Commands } from '../harness/worker-main.js'
import { type Choice, hello, listen } from './listen.js'

const turnMs = 2
/** What a feed that was held up makes up for; what is older is dropped by the app, and never sent. */
const mostLateMs = 1_000

interface Subscriber {
  readonly webSocket: WebSocket
  sent: number
}

/** An app that pushes messages to all of its WebSockets at a rate, whether they read them or not. */
export default async function start({ plugin, options }: Choice): Promise<Commands> {
  const server = createServer(hello)
  const wss = new WebSocketServer({ server })
  const closes: Partial<Record<CloseReason, number>> = {}
  if (plugin === 'peerpulse') {
    const { default: peerpulse } = await import('peerpulse')
    const pulse = peerpulse({ drain: false, ...(options as PeerpulseOptions) })
    pulse.attach(server, wss)
    pulse.on('connection:close', ({ closeReason, protocol }) => {
      if (protocol === 'websocket' && closeReason !== undefined)
        closes[closeReason] = (closes[closeReason] ?? 0) + 1
    })
  }
  const subscribers = new Map<string, Subscriber>()
  wss.on('connection', (webSocket, req) => {
    webSocket.on('error', () => {})
    subscribers.set(req.url ?? '/', { webSocket, sent: 0 })
  })

  let timer: NodeJS.Timeout | undefined
  return listen(server, {
    closes: () => closes,
    /** How many messages went to whom, by path. */
    sent: () => Object.fromEntries([...subscribers].map(([path, { sent }]) => [path, sent])),
    /** From here on everybody gets so many messages a second, each a buffer of its own; they take turns, so that they are spread over the time. */
    feed(perSecond: number, bytes: number) {
      const slots = [...subscribers.values()]
      const perMs = (perSecond * slots.length) / 1000
      const began = monotonicMs()
      let next = 0
      timer = setInterval(() => {
        const due = Math.floor((monotonicMs() - began) * perMs)
        next = Math.max(next, due - Math.floor(mostLateMs * perMs))
        for (; next < due; next++) {
          const subscriber = slots[next % slots.length] as Subscriber
          if (subscriber.webSocket.readyState !== subscriber.webSocket.OPEN) continue
          subscriber.webSocket.send(stamped(bytes, ++subscriber.sent, began + next / perMs))
        }
      }, turnMs)
    },
    stopFeed: () => clearInterval(timer),
  })
}
