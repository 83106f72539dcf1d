import { execFileSync } from 'node:child_process'

/** For listeners, pipes, and whatever else a process holds open. */
const headroom = 200
/** One address has about 28,000 ports for its clients on Linux. */
const mostPorts = 25_000

/** As many connections as a process may hold. */
export function mostConnections(): number {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }))
  return Math.min(Number.isNaN(limit) ? mostPorts : limit - headroom, mostPorts)
}
