import { createServer, type RequestListener, type Server } from 'node:http'
import type { PeerpulseOptions } from 'peerpulse'
import type { Commands } from '../harness/worker-main.js'
import { hello, listen } from './listen.js'

/** Puts itself on the server; returns what listens for requests in place of `hello`, if anything does. */
type Plugin = (server: Server, options: never) => Promise<RequestListener | undefined>

const plugins: Record<string, Plugin> = {
  none: async () => undefined,
  /** The least a plugin of this kind can do: it sees every event and every request, and passes them on. */
  async 'do nothing'(server) {
    const { emit } = server
    server.emit = function (this: Server) {
      // biome-ignore lint/complexity/noArguments: no array is made for a request
      return Reflect.apply(emit, this, arguments as unknown as unknown[])
    }
    const pass = (_req: unknown, _res: unknown, next: () => void) => next()
    return (req, res) => pass(req, res, () => hello(req, res))
  },
  async peerpulse(server, options: PeerpulseOptions) {
    const { default: peerpulse } = await import('peerpulse')
    const pulse = peerpulse({ drain: false, ...options })
    const middleware = pulse.middleware()
    pulse.attach(server)
    return (req, res) => middleware(req, res, () => hello(req, res))
  },
  async terminus(server) {
    const { createTerminus } = await import('@godaddy/terminus')
    server.on('request', hello)
    createTerminus(server, { healthChecks: { '/livez': async () => {}, '/readyz': async () => {} } })
    return undefined
  },
  async 'http-terminator'(server) {
    const { createHttpTerminator } = await import('http-terminator')
    createHttpTerminator({ server })
    return undefined
  },
}

/** `node:http`, alone or with a plugin. */
export default async function start({
  plugin,
  options = {},
}: {
  plugin: string
  options?: object
}): Promise<Commands> {
  const server = createServer()
  const listener = await (plugins[plugin] as Plugin)(server, options as never)
  if (server.listenerCount('request') === 0) server.on('request', listener ?? hello)
  return listen(server)
}
