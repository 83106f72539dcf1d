import { createRequire } from 'node:module'
import { peerpulse } from 'peerpulse'

/** A process whose signals have listeners of the kind that its argument names; prints what it is warned of. */
const kinds: Record<string, () => void> = {
  'calls exit': () => process.on('SIGTERM', () => process.exit(0)),
  'exits when its server is closed': () =>
    process.once('SIGINT', async function cleanUp() {
      await Promise.resolve()
      process.exit(1)
    }),
  'calls a shutdown': () => {
    const gracefulShutdown = () => {}
    process.on('SIGTERM', () => void gracefulShutdown())
  },
  'is bound': () => {
    function exit() {}
    process.on('SIGTERM', exit.bind(undefined))
  },
  'sends itself the signal': () => process.on('SIGTERM', () => process.kill(process.pid, 'SIGTERM')),
  'is terminus': () => {
    const { createTerminus } = createRequire(import.meta.url)('@godaddy/terminus')
    createTerminus(createRequire(import.meta.url)('node:http').createServer(), { signals: ['SIGTERM'] })
  },
  nothing: () => {},
  'takes note': () => {
    let exiting = false
    process.on('SIGTERM', () => {
      // After this the process will exit(): see process.exit in shutdown().
      exiting = true
      process.stdout.write(exiting ? 'shutdown() follows\n' : "process.exit('never')\n")
      process.exitCode = 0
    })
  },
  'stops a child and a client': () => {
    const child = { kill() {} }
    const client = { quit() {} }
    process.on('SIGTERM', () => {
      child.kill()
      client.quit()
    })
  },
  'looks whether it is alone': () => {
    const listener = () => {
      if (process.listeners('SIGTERM').length === 1) process.kill(process.pid, 'SIGTERM')
    }
    process.on('SIGTERM', listener)
  },
  'counts the others': () => {
    process.once('SIGTERM', () => {
      if (process.listenerCount('SIGTERM') === 0) process.exit(143)
    })
  },
  'tells of it': () => {
    const state = { setShutdown: (_: boolean) => {}, shouldExit: () => false }
    process.on('SIGTERM', (signal) => {
      state.setShutdown(!state.shouldExit())
      process.stdout.write(`shutdown (${signal}), then process.exit() by whoever is last`)
    })
  },
  'is another signal': () => process.on('SIGHUP', () => process.exit(0)),
  'is another pulse': () =>
    void peerpulse().attach(createRequire(import.meta.url)('node:http').createServer()),
}

kinds[process.argv[2] ?? '']?.()
const pulse = peerpulse()
pulse.on('warning', ({ code, message }) => console.log(`${code} ${message}`))
const http = createRequire(import.meta.url)('node:http')
const server = pulse.attach(http.createServer())
pulse.attach(http.createServer())
server.listen(0, () => {
  console.log('ready')
  if (process.argv[2] === 'late') process.on('SIGTERM', () => process.exit(0))
  else process.kill(process.pid, 'SIGKILL')
})
