import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../support/wait.js'
import { checkEveryMs } from './timing.js'

export type BalancerName = 'haproxy' | 'nginx'

/** A balancer of its own, with a configuration as one finds it in the balancer's own documentation. */
export interface Balancer extends AsyncDisposable {
  readonly port: number
}

/** Asks both instances every 200 ms; one that fails twice gets nothing new. */
const haproxy = (port: number, instances: readonly number[]) => `
global
  maxconn 4000
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend all
  bind 127.0.0.1:${port}
  default_backend instances
backend instances
  balance roundrobin
  option httpchk GET /readyz
  http-check expect status 200
  default-server inter ${checkEveryMs}ms fall 2 rise 1
${instances.map((instance, i) => `  server instance${i} 127.0.0.1:${instance} check`).join('\n')}
`

/** The free nginx asks nobody: it learns of an instance that is gone by a connection that is refused. */
const nginx = (port: number, instances: readonly number[], folder: string) => `
daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 4000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream instances {
${instances.map((instance) => `    server 127.0.0.1:${instance} max_fails=1 fail_timeout=1s;`).join('\n')}
    keepalive 32;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://instances;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout 1h;
    }
  }
}
`

export async function startBalancer(
  name: BalancerName,
  port: number,
  instances: readonly number[],
): Promise<Balancer> {
  const folder = mkdtempSync(join(tmpdir(), `peerpulse-${name}-`))
  const file = join(folder, `${name}.conf`)
  writeFileSync(file, name === 'haproxy' ? haproxy(port, instances) : nginx(port, instances, folder))
  const args = name === 'haproxy' ? ['-db', '-f', file] : ['-p', folder, '-c', file]
  const child = spawn(name, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  })
  let said = ''
  child.stderr.on('data', (chunk) => {
    said += String(chunk)
  })
  let failure: Error | undefined
  child.on('error', (error) => {
    failure = error
  })
  const stop = () => stopBalancer(child, folder)
  try {
    await until(async () => {
      if (failure !== undefined || child.exitCode !== null)
        throw new Error(`${name} did not start: ${failure?.message ?? said}`)
      return isListening(port)
    }, `${name} to listen`)
  } catch (error) {
    await stop()
    throw error
  }
  return { port, [Symbol.asyncDispose]: stop }
}

async function stopBalancer(child: ChildProcess, folder: string): Promise<void> {
  if (child.pid !== undefined && child.exitCode === null) {
    const exit = once(child, 'exit')
    // nginx' master ends its workers at SIGTERM; killed, it would leave them.
    child.kill('SIGTERM')
    await exit
  }
  rmSync(folder, { recursive: true, force: true })
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
