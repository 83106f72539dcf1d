import { setTimeout as sleep } from 'node:timers/promises'
import { Report } from './harness/report.js'
import { ratiosOf, spreadOf } from './harness/rounds.js'
import { steadyRounds } from './harness/steady-rounds.js'
import type { Side } from './harness/with-load.js'
import type { Worker } from './harness/worker.js'

const plan = { generations: 4, rounds: 8 }
const perRound = 2_000
/** Until every shedder has read its monitors and found them too high. */
const settleMs = 1_500

const served = 200
const refused = 503
/** A limit that any process is beyond. */
const underPressure = { pressure: { memory: { limitBytes: 1024 * 1024 }, warmUpMs: 0 } }

const requests = (status: number) => ({
  load: 'http-requests',
  loadOptions: { connections: 20, status },
})
const upgrades = (status: number) => ({ load: 'upgrades', loadOptions: { concurrency: 20, status } })
const express = (plugin: string, options: object, status: number): Side => ({
  stack: 'express',
  options: { plugin, options },
  ...requests(status),
})

const warmUp = async (_server: Worker, load: Worker) => {
  await sleep(settleMs)
  await load.call('run', 4 * perRound)
}
const cpu = async (server: Worker, load: Worker) => ({
  cpu: (await server.cpuDuring(() => load.call('run', perRound))) / perRound,
})

/** Microseconds of server CPU for what is refused, and for what is served. */
export async function run(): Promise<void> {
  const report = new Report('shed', 'What does it cost to refuse work?', [
    'express',
    'overload-protection',
    'fastify',
    '@fastify/under-pressure',
    'ws',
  ])
  const { cpu: request } = await steadyRounds(
    plan,
    {
      'Express hello': express('none', {}, served),
      'Express hello again (A/A)': express('none', {}, served),
      'refused by peerpulse': express('peerpulse', underPressure, refused),
      'refused by overload-protection': express(
        'overload-protection',
        { production: true, maxHeapUsedBytes: 1, clientRetrySecs: 1 },
        refused,
      ),
      'Fastify hello': { stack: 'fastify', options: { underPressure: false }, ...requests(served) },
      'refused by under-pressure': {
        stack: 'fastify',
        options: { underPressure: { maxHeapUsedBytes: 1 } },
        ...requests(refused),
      },
    },
    warmUp,
    cpu,
  )
  const { cpu: upgrade } = await steadyRounds(
    plan,
    {
      'ws upgrade': { stack: 'ws-bare', ...upgrades(101) },
      'ws upgrade again (A/A)': { stack: 'ws-bare', ...upgrades(101) },
      'upgrade refused by peerpulse': {
        stack: 'ws-peerpulse',
        options: underPressure,
        ...upgrades(refused),
      },
    },
    warmUp,
    cpu,
  )
  report.measureAll('us CPU', { ...request, ...upgrade })
  report.verdict(
    'a refused request against a served Express hello',
    ratiosOf(request, 'refused by peerpulse', 'Express hello'),
    { aa: spreadOf(ratiosOf(request, 'Express hello again (A/A)', 'Express hello')).median, atMost: 0.3 },
  )
  report.verdict(
    'the same of overload-protection',
    ratiosOf(request, 'refused by overload-protection', 'Express hello'),
  )
  report.verdict(
    'the same of under-pressure, against a served Fastify hello',
    ratiosOf(request, 'refused by under-pressure', 'Fastify hello'),
  )
  report.verdict(
    'a refused upgrade against a served one, each with its connection',
    ratiosOf(upgrade, 'upgrade refused by peerpulse', 'ws upgrade'),
    { aa: spreadOf(ratiosOf(upgrade, 'ws upgrade again (A/A)', 'ws upgrade')).median },
  )
  report.note(
    'A client whose connection is closed with the refusal comes back on a new one, and that is counted.',
  )
  report.write()
}
