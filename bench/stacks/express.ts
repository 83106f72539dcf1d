import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import express, { type Express } from 'express'
import type { PeerpulseOptions } from 'peerpulse'
import type { Commands } from '../harness/worker-main.js'
import { type Choice, greeting, listen } from './listen.js'

type Plugin = (app: Express, server: Server, options: never) => Promise<void>

/** Typed by nobody. */
const require = createRequire(import.meta.url)

const plugins: Record<string, Plugin> = {
  async none() {},
  async 'do nothing'(app) {
    app.use((_req, _res, next) => next())
  },
  async peerpulse(app, server, options: PeerpulseOptions) {
    const { default: peerpulse } = await import('peerpulse')
    const pulse = peerpulse({ drain: false, ...options })
    app.use(pulse.middleware())
    pulse.attach(server)
  },
  async 'overload-protection'(app, _server, options: object) {
    app.use(require('overload-protection')('express', options))
  },
  async 'toobusy-js'(app, _server, { maxLag }: { maxLag?: number }) {
    const toobusy = require('toobusy-js')
    if (maxLag !== undefined) toobusy.maxLag(maxLag)
    app.use((_req, res, next) => {
      if (toobusy()) res.status(503).send('busy')
      else next()
    })
  },
}

/** Express 5 with one route, alone or with a plugin. */
export default async function start({ plugin, options = {} }: Choice): Promise<Commands> {
  const app = express()
  const server = createServer(app)
  await (plugins[plugin] as Plugin)(app, server, options as never)
  app.get('/', (_req, res) => {
    res.type('text/plain').send(greeting)
  })
  return listen(server)
}
