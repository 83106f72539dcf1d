import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Deployment } from 'kubernetes-models/apps/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { Service } from 'kubernetes-models/v1'
import { parseAllDocuments } from 'yaml'
import { peerpulse } from '../../lib/index.js'
import { packageRoot, startExample } from '../support/example-process.js'
import { ask } from '../support/probe-client.js'

const folder = join(packageRoot, 'examples/kubernetes')
const kinds = { Deployment, Service, PodDisruptionBudget }

interface ProbeSpec {
  httpGet: { path: string; port: string }
  periodSeconds: number
  timeoutSeconds: number
  failureThreshold: number
}

const manifests = parseAllDocuments(readFileSync(join(folder, 'app.yaml'), 'utf8')).map(
  (document) => document.toJS() as { kind: keyof typeof kinds; spec: never },
)

test('kubernetes: the manifests are valid by the schema', () => {
  assert.deepEqual(
    manifests.map(({ kind }) => kind),
    ['Deployment', 'Service', 'PodDisruptionBudget'],
  )
  for (const manifest of manifests) {
    const Model = kinds[manifest.kind] as new (data: never) => { validate(): void }
    new Model(manifest as never).validate()
    const broken = { ...manifest, spec: { ...(manifest.spec as object), selector: 'feed' } }
    assert.throws(() => new Model(broken as never).validate(), `${manifest.kind}: the schema says nothing`)
  }
})

test('kubernetes: the manifest and the server say the same', async () => {
  const { template } = (manifests[0]?.spec ?? {}) as {
    template: { spec: { terminationGracePeriodSeconds: number; containers: Record<string, unknown>[] } }
  }
  const [container = {}] = template.spec.containers
  const env = new Map(
    (container.env as { name: string; value: string }[]).map(({ name, value }) => [name, value]),
  )
  const ports = new Map(
    (container.ports as { name: string; containerPort: number }[]).map((port) => [
      port.name,
      port.containerPort,
    ]),
  )
  const graceSeconds = template.spec.terminationGracePeriodSeconds
  assert.equal(env.get('TERMINATION_GRACE_SECONDS'), String(graceSeconds))
  const { drain, probes } = peerpulse({ drain: { terminationGraceMs: graceSeconds * 1_000 } }).config
  assert.ok(drain && probes)
  assert.ok(drain.deadlineMs < graceSeconds * 1_000)

  const { startupProbe, livenessProbe, readinessProbe } = container as Record<string, ProbeSpec>
  assert.ok(startupProbe && livenessProbe && readinessProbe)
  assert.equal(startupProbe.httpGet.path, probes.startupz)
  assert.equal(livenessProbe.httpGet.path, probes.livez)
  assert.equal(readinessProbe.httpGet.path, probes.readyz)
  for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
    assert.equal(probe.httpGet.port, 'probes')
    assert.ok(probe.timeoutSeconds * 1_000 > probes.checkTimeoutMs)
  }
  const noticedMs = readinessProbe.periodSeconds * readinessProbe.failureThreshold * 1_000
  assert.ok(noticedMs < drain.readinessDelayMs, `${noticedMs} ms until a balancer has noticed`)

  const source = readFileSync(join(folder, 'server.js'), 'utf8')
  assert.match(source, new RegExp(`PORT \\?\\? ${ports.get('http')}\\b`))
  assert.match(
    source,
    new RegExp(`PROBES_PORT \\?\\? ${String(ports.get('probes')).replace('9000', '9_000')}\\b`),
  )
  const limitMiB = Number.parseInt((container.resources as { limits: { memory: string } }).limits.memory, 10)
  const [, heapMiB] = /max-old-space-size=(\d+)/.exec(env.get('NODE_OPTIONS') ?? '') ?? []
  assert.equal(Number(heapMiB), Math.round(limitMiB * 0.6))
})

test('kubernetes: the server answers, drains and ends', async () => {
  await using example = await startExample('kubernetes', { PROBES_PORT: '0', TERMINATION_GRACE_SECONDS: '2' })
  assert.equal((await ask(`${example.url}/`)).text, 'hello\n')
  assert.equal((await ask(`${example.url}/readyz`)).status, 404, 'the probes have a port of their own')
  example.kill('SIGTERM')
  assert.deepEqual(await example.exit(), { code: 0, signal: null })
})
