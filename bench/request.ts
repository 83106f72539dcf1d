import { Report } from './harness/report.js'
import { differencesOf, ratiosOf, spreadOf } from './harness/rounds.js'
import { steadyRounds } from './harness/steady-rounds.js'
import type { Side } from './harness/with-load.js'

const plan = { generations: 5, rounds: 10, warmUps: 3 }
const requestsPerRound = 3_000

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
  const samples = await steadyRounds(
    plan,
    {
      'node:http': http('none'),
      'node:http again (A/A)': http('none'),
      'node:http + peerpulse': http('peerpulse'),
      'node:http + a plugin that does nothing': http('do nothing'),
      'node:http + terminus': http('terminus'),
      'node:http + http-terminator': http('http-terminator'),
      Express: express('none'),
      'Express + peerpulse': express('peerpulse'),
      'Express + a middleware that does nothing': express('do nothing'),
      'Express + overload-protection': express('overload-protection'),
      'Express + toobusy-js': express('toobusy-js'),
      Fastify: fastify(false),
      'Fastify + under-pressure': fastify(underPressure),
    },
    async (server, load) =>
      (await server.cpuDuring(() => load.call('run', requestsPerRound))) / requestsPerRound,
  )
  report.measureAll('us CPU', samples)

  const aa = spreadOf(ratiosOf(samples, 'node:http again (A/A)', 'node:http')).median
  report.verdict(
    'CPU per request on node:http, attached and with the middleware, against without',
    ratiosOf(samples, 'node:http + peerpulse', 'node:http'),
    { aa, atMost: 1.03 },
  )
  report.verdict(
    'the same of a plugin that does nothing',
    ratiosOf(samples, 'node:http + a plugin that does nothing', 'node:http'),
    { aa },
  )
  const addedByUnderPressure = spreadOf(differencesOf(samples, 'Fastify + under-pressure', 'Fastify')).median
  const shareOf = (of: string, less: string) =>
    differencesOf(samples, of, less).map((added) => added / addedByUnderPressure)
  report.verdict(
    'CPU added per request, against what under-pressure adds to Fastify',
    shareOf('node:http + peerpulse', 'node:http'),
    { atMost: 0.2 },
  )
  report.verdict(
    'the same of a plugin that does nothing',
    shareOf('node:http + a plugin that does nothing', 'node:http'),
  )
  report.verdict(
    'the same of node:http again (A/A): the noise',
    shareOf('node:http again (A/A)', 'node:http'),
  )
  report.write()
}
