import { setTimeout as sleep } from 'node:timers/promises'
import { endAll, start } from './children.js'
import { kinds, Ledger } from './ledger.js'
import { Supervisor } from './supervisor.js'

const startWithinMs = 15_000
const exitWithinMs = 12_000
/** A client that was cut off this close to a death of the server, or to the stall, was cut off by it. */
const causeWithinMs = 3_000
const statusEveryMs = 2_000
const lineWidth = 100

/**
 * @typedef {object} Result What one run of the story measured.
 * @property {import('./supervisor.js').Death[]} deaths
 * @property {number} peakMib
 * @property {{ stall: number, death: number, other: number }} cutOff Healthy clients that were cut off before SIGTERM.
 * @property {{ most: number, longestMs: number, atSigterm: number }} dead
 * @property {{ told: number, of: number, codes: string[] }} closeFrames To healthy clients, after SIGTERM.
 * @property {number | undefined} inFlight The status of the request in flight at SIGTERM.
 * @property {string} exit
 * @property {Record<import('./ledger.js').Kind, Record<string, number>>} endings
 * @property {number | undefined} streamsLeft Token streams that run when all connections are gone.
 */

/**
 * Plays the incident once, on real sockets, and measures it.
 *
 * @param {{ bare: boolean, scenario: import('./scenario.js').Scenario, print: (line: string) => void }} options
 * @returns {Promise<Result>}
 */
export async function play({ bare, scenario, print }) {
  const { ceilingMib, watchMs } = scenario
  const supervisor = new Supervisor({ bare, ceilingMib })
  const ledger = new Ledger()
  const startedAt = performance.now()
  /** @type {{ at: number, code: number }[]} */
  const healthyCloses = []
  /** @type {Map<string, number | undefined>} */
  const responses = new Map()
  /** @type {Record<string, number>} */
  let endedSince = {}
  /** @type {number | undefined} */
  let streams
  let deadMost = 0

  const say = (/** @type {string} */ text) => {
    const time = String(Math.round((performance.now() - startedAt) / 1_000)).padStart(4)
    print(`${time} s  ${text}`.slice(0, lineWidth))
  }
  const status = () => {
    const ended = Object.entries(endedSince).map(([why, count]) => `${count} x ${why}`)
    endedSince = {}
    const memory = supervisor.memoryMib === 0 ? '-' : Math.round(supervisor.memoryMib)
    const columns = [
      `${String(memory).padStart(3)} MiB`,
      `healthy ${String(ledger.held('healthy')).padStart(2)}/${scenario.healthy}`,
      `dead but held ${String(ledger.deadHeld).padStart(3)}`,
      ...(ended.length === 0 ? [] : [`ended: ${ended.join(', ')}`]),
    ]
    say(columns.join(' | '))
  }

  supervisor.on('message', (message) => {
    if (message.streams !== undefined) streams = message.streams
    const { why } = message
    // Plain requests are not what this is about.
    if (ledger.noteServer(message) && why !== undefined) endedSince[why] = (endedSince[why] ?? 0) + 1
    deadMost = Math.max(deadMost, ledger.deadHeld)
  })
  supervisor.on('death', (how) => {
    say(`!! the server ${how}, and ${ledger.open} connections with it; it is started again`)
    ledger.noteServerGone()
    streams = undefined
  })
  supervisor.on('back', () => say('!! the server is back'))

  const startClients = async () => {
    const child = start('clients.js', { env: { PORT: String(supervisor.port) } })
    await new Promise((resolve, reject) => {
      const failed = () => reject(new Error('the clients did not start'))
      const timer = setTimeout(failed, startWithinMs)
      child.once('exit', failed)
      child.on('message', (/** @type {import('./ledger.js').ClientMessage} */ message) => {
        if (message.event === 'ready') {
          clearTimeout(timer)
          return resolve(undefined)
        }
        if (message.event === 'response') return responses.set(message.path, message.status)
        if (message.event === 'close' && message.kind === 'healthy') {
          healthyCloses.push({ at: performance.now(), code: message.code })
        }
        ledger.noteClient(message)
        deadMost = Math.max(deadMost, ledger.deadHeld)
      })
    })
    /** @param {import('./ledger.js').Order} order */
    const order = (order) => child.send(order)
    return { child, order }
  }

  /** @type {NodeJS.Timeout | undefined} */
  let ticking
  try {
    await supervisor.start()
    const clients = await startClients()
    const laptops = await startClients()
    ticking = setInterval(status, statusEveryMs)
    say(`> ${scenario.healthy + scenario.vanished} clients subscribe, read their tokens and acknowledge them`)
    clients.order({ play: 'healthy', count: scenario.healthy })
    laptops.order({ play: 'vanished', count: scenario.vanished })
    await sleep(watchMs.connect)

    say(`> ${scenario.vanished} of them vanish without a word, as closed laptops do (SIGSTOP)`)
    laptops.child.kill('SIGSTOP')
    ledger.noteDead('vanished')
    await sleep(watchMs.vanish)

    say(`> ${scenario.reset} clients reset their connections, half of them in the middle of the upgrade`)
    clients.order({ play: 'reset', count: scenario.reset })
    await sleep(watchMs.reset)

    const report = `/report?chunks=${scenario.stallChunks}`
    say(`> somebody asks for a report: it blocks the event loop ${scenario.stallChunks} times for 1.2 s`)
    const stallFrom = performance.now()
    clients.order({ play: 'request', path: report })
    await sleep(watchMs.stall)
    const stallTo = performance.now()

    const { abandoned, notReading } = scenario
    const perSecond = Math.round(1_000 / abandoned.everyMs)
    say(`> a page leaks: ${perSecond} times a second it subscribes, and abandons the subscription`)
    clients.order({ play: 'abandoned', ...abandoned })
    await sleep(watchMs.abandon)

    say(`> ${notReading.count} clients ask for their whole history, megabytes each, and stop reading`)
    clients.order({ play: 'stopped reading', ...notReading })
    await sleep(watchMs.notReading)

    say('> the page is fixed; nobody new leaks')
    await sleep(watchMs.settle)

    say('> a deployment: SIGTERM, with a request of 1.5 s in flight')
    clients.order({ play: 'request', path: '/export' })
    await sleep(300)
    const deadAtSigterm = ledger.deadHeld
    const healthyAtSigterm = ledger.held('healthy')
    const sigtermAt = performance.now()
    clients.order({ play: 'going down' })
    const exit = await supervisor.terminate(exitWithinMs)
    ledger.noteServerGone()
    await sleep(500)
    clearInterval(ticking)
    if (Object.keys(endedSince).length > 0) status()
    say(`> the server process: ${exit}`)

    const deathTimes = supervisor.deaths.map(({ atMs }) => supervisor.startedAt + atMs)
    const cutOff = { stall: 0, death: 0, other: 0 }
    for (const { at } of healthyCloses.filter(({ at }) => at < sigtermAt)) {
      if (deathTimes.some((time) => Math.abs(at - time) < causeWithinMs)) cutOff.death++
      else if (at >= stallFrom && at < stallTo + causeWithinMs) cutOff.stall++
      else cutOff.other++
    }
    const told = healthyCloses.filter(({ at, code }) => at >= sigtermAt && code !== 1006)
    return {
      deaths: supervisor.deaths,
      peakMib: supervisor.peakMib,
      cutOff,
      dead: { most: deadMost, longestMs: ledger.longestDeadMs, atSigterm: deadAtSigterm },
      closeFrames: {
        told: told.length,
        of: healthyAtSigterm,
        codes: [...new Set(told.map(({ code }) => String(code)))],
      },
      inFlight: responses.get('/export'),
      exit,
      endings: /** @type {Result['endings']} */ (
        Object.fromEntries(kinds.map((kind) => [kind, ledger.endings(kind)]))
      ),
      streamsLeft: streams,
    }
  } finally {
    clearInterval(ticking)
    supervisor.stop()
    await endAll()
  }
}
