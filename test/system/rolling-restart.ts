/**
 * Two instances behind a real balancer are restarted in turn under load, with peerpulse and, beside it, with terminus.
 * Ends with 1 when a client of peerpulse noticed. Arguments: restarts with peerpulse, and with terminus.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { until } from '../support/wait.js'
import { type BalancerName, startBalancer } from './balancer.js'
import { Load, type Seen } from './load.js'

type Stack = 'peerpulse' | 'terminus'

const webSockets = 500
const httpClients = 20

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function startInstance(port: number, stack: Stack): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('./instance-process.js', import.meta.url))
  const child = fork(script, [String(port), stack])
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`an instance of ${stack} ended with ${code} at its start`)
    }),
  ])
  return child
}

async function restartInTurn(balancer: BalancerName, stack: Stack, restarts: number): Promise<Seen> {
  const ports = [await freePort(), await freePort()]
  const instances = await Promise.all(ports.map((port) => startInstance(port, stack)))
  const port = await freePort()
  await using _ = await startBalancer(balancer, port, ports)
  const load = new Load(port)
  const isBack = (instance: ChildProcess) => async () => (await load.whoAnswers()) === String(instance.pid)
  try {
    for (const instance of instances) await until(isBack(instance), 'the balancer to know both')
    load.start(httpClients, webSockets)
    for (let i = 0; i < restarts; i++) {
      await until(() => load.open === webSockets, `${webSockets} WebSockets`)
      const old = instances[i % 2] as ChildProcess
      const exit = once(old, 'exit')
      old.kill('SIGTERM')
      await exit
      const next = await startInstance(ports[i % 2] as number, stack)
      instances[i % 2] = next
      await until(isBack(next), 'the balancer to have it back')
    }
    await until(() => load.open === webSockets, `${webSockets} WebSockets at the end`)
    await until(() => load.waiting === 0, 'every WebSocket to be answered: none was lost in silence')
  } finally {
    await load.stop()
    for (const instance of instances) instance.kill('SIGKILL')
  }
  return load.seen
}

const [restarts = 20, besideIt = 20] = process.argv.slice(2).map(Number)
let failed = false
for (const balancer of ['haproxy', 'nginx'] as const) {
  for (const [stack, times] of [
    ['peerpulse', restarts],
    ['terminus', besideIt],
  ] as const) {
    if (times === 0) continue
    const startedAt = performance.now()
    const seen = await restartInTurn(balancer, stack, times)
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    console.log(`${stack} behind ${balancer}: ${times} restarts in ${seconds} s`)
    console.log(`  ${seen.requests} requests, failed: ${words(seen.failed)}`)
    console.log(
      `  ${seen.webSockets} WebSockets opened, closed by: ${words(seen.closes)}; ${seen.refusedUpgrades} upgrades refused, ${seen.lostEchoes} echoes lost`,
    )
    const { 1012: told = 0, ...others } = seen.closes
    if (
      stack === 'peerpulse' &&
      (Object.keys(seen.failed).length > 0 || Object.keys(others).length > 0 || told === 0)
    )
      failed = true
  }
}
if (failed) {
  console.error('A client of peerpulse noticed a restart.')
  process.exitCode = 1
}

function words(counts: Record<string, number>): string {
  return (
    Object.entries(counts)
      .map(([what, times]) => `${times} x ${what}`)
      .join(', ') || 'none'
  )
}
