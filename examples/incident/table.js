const labelWidth = 34
const cellWidth = 30

/**
 * @param {import('./story.js').Result} bare
 * @param {import('./story.js').Result} pulse
 * @param {import('./scenario.js').Scenario} scenario
 * @returns {string}
 */
export function table(bare, pulse, scenario) {
  /** @type {string[]} */
  const lines = []
  const rule = () => lines.push('-'.repeat(labelWidth + 2 * cellWidth + 4))
  /**
   * @param {string} label
   * @param {string} left
   * @param {string} right
   */
  const line = (label, left, right) => {
    const cells = [wrap(label, labelWidth), wrap(left, cellWidth), wrap(right, cellWidth)]
    const height = Math.max(...cells.map(({ length }) => length))
    for (let i = 0; i < height; i++) {
      lines.push(
        `${(cells[0][i] ?? '').padEnd(labelWidth)}  ${(cells[1][i] ?? '').padEnd(cellWidth)}  ${cells[2][i] ?? ''}`.trimEnd(),
      )
    }
  }
  /**
   * @param {string} label
   * @param {(result: import('./story.js').Result) => string} cell
   */
  const row = (label, cell) => line(label, cell(bare), cell(pulse))

  rule()
  line('', 'BARE', 'WITH PEERPULSE')
  line(
    '',
    'Express and ws, with the heartbeat of the README of ws',
    'the same app, three lines more, no heartbeat of its own',
  )
  rule()
  row('Process alive until SIGTERM?', alive)
  row(`Peak memory (${scenario.ceilingMib} MiB allowed)`, ({ peakMib }) => `${Math.round(peakMib)} MiB`)
  row('Healthy clients cut off', cutOff)
  row('Dead peers held, most at once', ({ dead }) => String(dead.most))
  row('  longest time one was held', ({ dead }) => `${(dead.longestMs / 1_000).toFixed(1)} s`)
  row('  still held at SIGTERM', ({ dead }) => String(dead.atSigterm))
  row('SIGTERM: who got a close frame?', closeFrames)
  row('  the request in flight', ({ inFlight }) =>
    inFlight === undefined ? 'cut off' : `answered with ${inFlight}`,
  )
  row('  the process', ({ exit }) => exit)
  rule()
  lines.push('Why did their connections end? What the server can tell:')
  row('  healthy', ({ endings }) => reasons(endings.healthy))
  row('  vanished without a word', ({ endings }) => reasons(endings.vanished))
  row('  reset', ({ endings }) => reasons(endings.reset))
  row('  abandoned subscription', ({ endings }) => reasons(endings.abandoned))
  row('  stopped reading', ({ endings }) => reasons(endings['stopped reading']))
  rule()
  return lines.join('\n')
}

/** @param {import('./story.js').Result} result */
function alive({ deaths }) {
  const [first] = deaths
  if (first === undefined) return 'yes'
  const times = deaths.length === 1 ? '' : `, ${deaths.length} times in all`
  return `NO: it ${first.how} after ${Math.round(first.atMs / 1_000)} s${times}`
}

/** @param {import('./story.js').Result} result */
function cutOff({ cutOff: { stall, death, other } }) {
  const parts = [
    stall > 0 && `${stall} by the stall`,
    death > 0 && `${death} when the process died`,
    other > 0 && `${other} else`,
  ].filter(Boolean)
  return parts.length === 0 ? '0' : parts.join(', ')
}

/** @param {import('./story.js').Result} result */
function closeFrames({ closeFrames: { told, of, codes } }) {
  return `${told} of ${of} clients${codes.length === 0 ? '' : `, code ${codes.join(', ')}`}`
}

/** @param {Record<string, number>} counts */
function reasons(counts) {
  const sorted = Object.entries(counts).sort((a, b) => b[1] - a[1])
  return sorted.length === 0 ? 'none' : sorted.map(([why, count]) => `${count} x ${why}`).join(', ')
}

/**
 * @param {string} text
 * @param {number} width
 */
function wrap(text, width) {
  const indent = /^ */.exec(text)?.[0] ?? ''
  /** @type {string[]} */
  const lines = []
  let current = ''
  for (const word of text.trim().split(' ')) {
    if (current !== '' && indent.length + current.length + 1 + word.length > width) {
      lines.push(indent + current)
      current = word
    } else current = current === '' ? word : `${current} ${word}`
  }
  return [...lines, indent + current]
}
