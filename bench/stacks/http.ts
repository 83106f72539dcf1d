import { createServer, type RequestListener, type Server } from 'node:http'
import type { PeerpulseOptions } from 'peerpulse'
import type { Commands } from '../harness/worker-main.js'
import { type Choice, hello, listen } from './listen.js'

/** What a plugin does to the server, besides what it does to it by itself. */
interface Plugged {
  /** Listens for requests in place of `hello`. */
  readonly onRequest?: RequestListener
  /** Closes everything; without it, Node's own means do. */
  readonly shutDown?: () => unknown
}

const plugins: Record<string, (server: Server, options: never) => Promise<Plugged>> = {
  none: async () => ({}),
  /** The least a plugin of this kind can do: it sees every event and every request, and passes them on. */
  async 'do nothing'(server) {
    const { emit } = server
    server.emit = function (this: Server) {
      // biome-ignore lint/complexity/noArguments: no array is made for a request
      return Reflect.apply(emit, this, arguments as unknown as unknown[])
    }
    const pass = (_req: unknown, _res: unknown, next: () => void) => next()
    return { onRequest: (req, res) => pass(req, res, () => hello(req, res)) }
  },
  async peerpulse(server, options: PeerpulseOptions) {
    const { default: peerpulse } = await import('peerpulse')
    const pulse = peerpulse({ drain: false, ...options })
    const middleware = pulse.middleware()
    pulse.attach(server)
    return {
      onRequest: (req, res) => middleware(req, res, () => hello(req, res)),
      shutDown: () => pulse.drain(),
    }
  },
  async terminus(server) {
    const { createTerminus } = await import('@godaddy/terminus')
    // It puts itself in front of the listeners that are there when it comes.
    server.on('request', hello)
    createTerminus(server, { healthChecks: { '/livez': async () => {}, '/readyz': async () => {} } })
    return {}
  },
  async 'http-terminator'(server) {
    const { createHttpTerminator } = await import('http-terminator')
    const terminator = createHttpTerminator({ server })
    return { shutDown: () => terminator.terminate() }
  },
}

/** `node:http`, alone or with a plugin. */
export default async function start({ plugin, options = {} }: Choice): Promise<Commands> {
  const server = createServer()
  const plug = plugins[plugin]
  if (plug === undefined) throw new Error(`no plugin ${plugin}`)
  const { onRequest = hello, shutDown } = await plug(server, options as never)
  if (server.listenerCount('request') === 0) server.on('request', onRequest)
  return listen(server, {
    shutDown:
      shutDown ??
      (() => {
        server.close()
        server.closeAllConnections()
      }),
  })
}
