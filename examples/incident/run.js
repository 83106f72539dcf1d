// The incident, twice: bare and with peerpulse. `node run.js`, or `node run.js --quick` for a shorter one.
import { broken } from './promises.js'
import { full, quick } from './scenario.js'
import { play } from './story.js'
import { heapMib } from './supervisor.js'
import { table } from './table.js'

const scenario = process.argv.includes('--quick') ? quick : full
const print = (/** @type {string} */ line) => console.log(line)

// A pager that was quit, or a closed terminal.
process.stdout.on('error', () => process.exit(1))

print(`
A small server streams token updates over WebSockets and has a bad half minute: clients vanish,
reset, leak their subscriptions and stop reading, and the event loop stalls. Then it is deployed.
The story is played twice, on real sockets, and every number below is measured. A dead peer is a
connection that nobody is behind any more, whatever TCP believes.

The box is small: a supervisor kills the server when it holds more than ${scenario.ceilingMib} MiB, as a container
would, and starts it again (its V8 heap may have ${heapMib(scenario.ceilingMib)} MiB of that). Timeouts are short, to fit in
a minute: both sides ping every second, in production it would be 25 to 30 s.
`)

try {
  print('1 of 2: BARE. Express and ws, with the heartbeat of the README of ws')
  const bare = await play({ bare: true, scenario, print })
  print('\n2 of 2: WITH PEERPULSE. The same app, with three lines more and no heartbeat of its own')
  const pulse = await play({ bare: false, scenario, print })

  print(`\n${table(bare, pulse, scenario)}`)
  print(`1006 (abnormal closure) is what the API of ws tells of a reset, a lost network and its own
heartbeat's terminate() alike. unknown: the process ended, and the connection with it. not noticed:
reset before ws knew of it. The words on the right are explained in docs/close-reasons.md.
`)

  const failures = broken(pulse, scenario)
  if (failures.length === 0) print('peerpulse kept its promises (examples/incident/promises.js).')
  else {
    process.exitCode = 1
    print('peerpulse broke its promise:')
    for (const failure of failures) print(`  ${failure}`)
  }
} catch (error) {
  process.exitCode = 1
  print(`The demo failed: ${error instanceof Error ? error.message : error}`)
}
