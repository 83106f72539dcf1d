import { type ChildProcess, execFileSync, fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { PeerpulseOptions } from 'peerpulse'
import { WebSocket } from 'ws'
import type { Command, Report } from './server-process.js'

export interface ServerProcess {
  readonly child: ChildProcess
  readonly port: number
  ask(command: Command): Promise<Report>
  /** Its exit code, once it has one. */
  readonly exited: Promise<number | null>
  kill(): Promise<void>
}

const file = fileURLToPath(new URL('./server-process.js', import.meta.url))

export function startServerProcess(options: PeerpulseOptions): Promise<ServerProcess> {
  return follow(fork(file, [JSON.stringify(options)]))
}

/** Flags with which `unshare` gives a process a PID namespace here; `undefined` where nobody may. */
export const pidNamespaceFlags = [
  ['--pid', '--fork', '--kill-child'],
  ['--pid', '--fork', '--kill-child', '--user', '--map-root-user'],
].find((flags) => spawnSync('unshare', [...flags, 'true']).status === 0)

/** The same server as PID 1 of a namespace of its own, as in a container. `signal` reaches it from outside. */
export async function startServerAsPid1(
  options: PeerpulseOptions,
  flags: string[],
): Promise<ServerProcess & { signal(name: NodeJS.Signals): void }> {
  const server = await follow(
    spawn('unshare', [...flags, process.execPath, file, JSON.stringify(options)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    }),
  )
  const [pid] = execFileSync('ps', ['-o', 'pid=', '--ppid', String(server.child.pid)])
    .toString()
    .trim()
    .split(/\s+/)
  return { ...server, signal: (name) => void process.kill(Number(pid), name) }
}

async function follow(child: ChildProcess): Promise<ServerProcess> {
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  const [{ port }] = (await once(child, 'message')) as [{ port: number }]
  return {
    child,
    port,
    exited,
    async ask(command) {
      const answer = once(child, 'message')
      child.send(command)
      return ((await answer) as [Report])[0]
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

export async function openClient(port: number): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}`)
  client.on('error', () => {})
  await once(client, 'open')
  return client
}

/** Stops a client from reading: it answers no ping and no close frame, and its TCP window fills up. */
export function deafen(client: WebSocket): void {
  const { _socket: socket } = client as unknown as { _socket: { pause(): void } }
  socket.pause()
}
