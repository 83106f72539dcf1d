import type { AddressInfo } from 'node:net'
import fastify from 'fastify'
import type { Commands } from '../harness/worker-main.js'
import { greeting } from './listen.js'

/** Fastify with one route, alone or with under-pressure. */
export default async function start({
  underPressure,
}: {
  underPressure?: object | false
}): Promise<Commands> {
  const app = fastify({ keepAliveTimeout: 600_000 })
  if (underPressure) {
    const { default: plugin } = await import('@fastify/under-pressure')
    await app.register(plugin, underPressure)
  }
  app.get('/', (_request, reply) => reply.type('text/plain').send(greeting))
  await app.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  const { port } = app.server.address() as AddressInfo
  return { port: () => port }
}
