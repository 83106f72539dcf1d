import { pairedMeasures } from './harness/measures.js'
import { Report } from './harness/report.js'
import { type Side, withLoad } from './harness/with-load.js'

const rounds = 3
const connections = 10_000
/** A drain ends by itself after its deadline of 25 s. */
const mostMs = 30_000

const drain = (spreadMs: number) => ({ drain: { readinessDelayMs: 0, spreadMs } })
const spreadByDefaultMs = 5_000
const byHand: Side = { stack: 'ws-bare', load: 'websockets' }
const spreadOver = (spreadMs: number): Side => ({
  stack: 'ws-peerpulse',
  options: drain(spreadMs),
  load: 'websockets',
})

const http = (plugin: string, options: object = {}): Side => ({
  stack: 'http',
  options: { plugin, options },
  load: 'pooled',
})

/** The time from the word until everybody is gone and the server says that it is done, and what it took of the server. */
function shutDown(side: Side) {
  return () =>
    withLoad(side, async (server, load) => {
      await load.call('connect', connections)
      await server.call('watchLoop')
      let told = 0
      const began = performance.now()
      const cpu = await server.cpuDuring(async () => {
        const closed = load.call<number>('whenClosed', mostMs)
        await server.call('shutDown')
        told = await closed
      })
      const time = performance.now() - began
      const stop = await server.call<number>('longestStop')
      return { time, stop, cpu: cpu / connections, told, left: await load.call<number>('open') }
    })
}

export async function run(): Promise<void> {
  const report = new Report('drain', 'What does it take to close 10,000 connections?', [
    'ws',
    'http-terminator',
  ])
  const webSockets = await pairedMeasures(rounds, {
    'close(1001) by hand': shutDown(byHand),
    'by hand again (A/A)': shutDown(byHand),
    'peerpulse, over 5 s (default)': shutDown(spreadOver(spreadByDefaultMs)),
    'peerpulse, over 0.5 s': shutDown(spreadOver(500)),
    'peerpulse, not spread': shutDown(spreadOver(0)),
  })
  const pooled = await pairedMeasures(rounds, {
    'HTTP: closeAllConnections()': shutDown(http('none')),
    'HTTP: http-terminator': shutDown(http('http-terminator')),
    'HTTP: peerpulse': shutDown(http('peerpulse', drain(spreadByDefaultMs))),
  })

  for (const { time, stop, cpu, left } of [webSockets, pooled]) {
    for (const [name, values] of Object.entries(time)) report.measure(`${name}: time`, 'ms', values)
    // A unit of its own, so that 5 s do not flatten it in the picture.
    for (const [name, values] of Object.entries(stop))
      report.measure(`${name}: longest loop stop`, 'ms of stop', values)
    for (const [name, values] of Object.entries(cpu)) report.measure(`${name}: CPU each`, 'us', values)
    for (const [name, counts] of Object.entries(left))
      if (Math.max(...counts) > 0) report.note(`${name}: up to ${Math.max(...counts)} were still open.`)
  }
  for (const [name, counts] of Object.entries(webSockets.told))
    report.verdict(
      `share of peers that got a close frame: ${name}`,
      counts.map((count) => count / connections),
      { atLeast: 1 },
    )
  report.verdict(
    'longest loop stop of a drain of 10,000 WebSockets, over 5 s (default)',
    webSockets.stop['peerpulse, over 5 s (default)'] ?? [],
    { unit: 'ms' },
  )
  report.note(
    'The time is until the last peer is gone and what was called has settled; a drain does so on a tick of 100 ms. The peers share the cores with the server.',
  )
  report.note(
    'Pooled HTTP connections are idle. peerpulse ends them with a FIN and waits for that of the peer; the others destroy the socket, which is cheaper.',
  )
  report.write()
}
