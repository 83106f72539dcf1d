import { Report } from './harness/report.js'
import { differencesOf, ratiosOf, spreadOf } from './harness/rounds.js'
import { steadyRounds } from './harness/steady-rounds.js'
import type { Side } from './harness/with-load.js'
import type { Worker } from './harness/worker.js'

const requests = 3_000
/** The sides with a limit: as many processes and rounds as it takes to see a hundredth. */
const closely = { generations: 10, rounds: 15 }
const roughly = { generations: 3, rounds: 8 }
/** A quiet server: what costs by the second shows. */
const paced = { generations: 4, rounds: 6, requests: 1_000, perSecond: 1_000 }

const warmUp = (_server: Worker, load: Worker) => load.call('run', 15_000)
const load = 'http-requests'
const loadOptions = { connections: 20 }
const http = (plugin: string): Side => ({ stack: 'http', options: { plugin }, load, loadOptions })
const express = (plugin: string): Side => ({ stack: 'express', options: { plugin }, load, loadOptions })
const fastify = (underPressure: object | false): Side => ({
  stack: 'fastify',
  options: { underPressure },
  load,
  loadOptions,
})
/** As its README has it. */
const underPressure = {
  maxEventLoopDelay: 1_000,
  maxHeapUsedBytes: 1_000_000_000,
  maxRssBytes: 1_000_000_000,
  maxEventLoopUtilization: 0.98,
}

/** Microseconds of server CPU per request: Node's parser, the plugin and the app. */
export async function run(): Promise<void> {
  const report = new Report('request', 'What does a request cost?', [
    '@godaddy/terminus',
    'http-terminator',
    'express',
    'overload-protection',
    'toobusy-js',
    'fastify',
    '@fastify/under-pressure',
  ])
  const judged = {
    'node:http': http('none'),
    'node:http again (A/A)': http('none'),
    'node:http + peerpulse': http('peerpulse'),
    'node:http + a plugin that does nothing': http('do nothing'),
    Fastify: fastify(false),
    'Fastify + under-pressure': fastify(underPressure),
  }
  // As fast as they are answered: what costs by the second costs nothing by the request.
  const flatOut = async (server: Worker, load: Worker) => ({
    cpu: (await server.cpuDuring(() => load.call('run', requests))) / requests,
  })
  const { cpu: busy } = await steadyRounds(closely, judged, warmUp, flatOut)
  const { cpu: others } = await steadyRounds(
    roughly,
    {
      'node:http, beside others': http('none'),
      'node:http + terminus': http('terminus'),
      'node:http + http-terminator': http('http-terminator'),
      Express: express('none'),
      'Express + peerpulse': express('peerpulse'),
      'Express + a middleware that does nothing': express('do nothing'),
      'Express + overload-protection': express('overload-protection'),
      'Express + toobusy-js': express('toobusy-js'),
    },
    warmUp,
    flatOut,
  )
  const { cpu: quiet } = await steadyRounds(paced, judged, warmUp, async (server, load) => ({
    cpu: (await server.cpuDuring(() => load.call('pace', paced.requests, paced.perSecond))) / paced.requests,
  }))
  const pacedAt = `${paced.perSecond.toLocaleString('en')}/s`
  for (const [name, values] of Object.entries({ ...busy, ...others }))
    report.measure(`${name}, flat out`, 'us CPU', values)
  for (const [name, values] of Object.entries(quiet)) report.measure(`${name}, ${pacedAt}`, 'us CPU', values)

  const aa = spreadOf(ratiosOf(busy, 'node:http again (A/A)', 'node:http')).median
  report.verdict(
    'CPU per request on node:http, attached and with the middleware, against without',
    ratiosOf(busy, 'node:http + peerpulse', 'node:http'),
    { aa, atMost: 1.03 },
  )
  report.verdict(
    'the same of a plugin that does nothing',
    ratiosOf(busy, 'node:http + a plugin that does nothing', 'node:http'),
    { aa },
  )
  for (const [samples, how, atMost] of [
    [quiet, pacedAt, 0.2],
    [busy, 'flat out', 0.2],
  ] as const) {
    const theirs = spreadOf(differencesOf(samples, 'Fastify + under-pressure', 'Fastify')).median
    const share = (of: string) => differencesOf(samples, of, 'node:http').map((added) => added / theirs)
    report.verdict(
      `CPU added per request, ${how}, against what under-pressure adds to Fastify`,
      share('node:http + peerpulse'),
      { atMost },
    )
    report.verdict(
      `the same of a plugin that does nothing, ${how}`,
      share('node:http + a plugin that does nothing'),
    )
    report.verdict(`the same of node:http again (A/A), ${how}: the noise`, share('node:http again (A/A)'))
  }
  report.write()
}
