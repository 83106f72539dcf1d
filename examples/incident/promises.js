/**
 * What peerpulse promised, and did not keep in this run.
 *
 * @param {import('./story.js').Result} result of the run with peerpulse
 * @param {import('./scenario.js').Scenario} scenario
 * @returns {string[]}
 */
export function broken(result, scenario) {
  const { cutOff, dead, closeFrames, endings } = result
  /** @type {[boolean, string][]} */
  const promises = [
    [result.deaths.length === 0, 'the process lives until SIGTERM'],
    [result.peakMib <= scenario.ceilingMib, `memory stays below ${scenario.ceilingMib} MiB`],
    [cutOff.stall + cutOff.death + cutOff.other === 0, 'no healthy client is cut off'],
    [dead.atSigterm === 0, 'dead peers are found and closed'],
    [closeFrames.of === scenario.healthy, 'every healthy client is there when SIGTERM comes'],
    [closeFrames.told === closeFrames.of, 'every healthy client gets a close frame'],
    [result.inFlight === 200, 'the request in flight is answered'],
    [result.exit.startsWith('exit code 0 '), 'the process exits by itself with code 0'],
    [result.streamsLeft === 0, 'no token stream outlives its connection'],
    [only(endings.healthy, 'drain'), 'healthy clients end as drain'],
    [only(endings.vanished, 'half-open'), 'clients that vanished end as half-open'],
    // On a busy machine a reset may come before the server has accepted the socket, whose port nobody knows then; or in
    // one read with the request, where the kernel tells of an end alone.
    [
      only(endings.reset, 'peer-reset', 'peer-ended', 'not noticed') &&
        (endings.reset['peer-reset'] ?? 0) > 0,
      'clients that reset end as peer-reset',
    ],
    [only(endings.abandoned, 'idle-timeout'), 'abandoned subscriptions end as idle-timeout'],
    // Where the kernel takes all that is sent, it is the heartbeat that finds them.
    [
      only(endings['stopped reading'], 'slow-consumer', 'half-open'),
      'clients that stopped reading end as slow-consumer',
    ],
  ]
  return promises.filter(([kept]) => !kept).map(([, promise]) => promise)
}

/**
 * @param {Record<string, number>} counts
 * @param {string[]} reasons
 */
function only(counts, ...reasons) {
  const found = Object.keys(counts)
  return found.length > 0 && found.every((reason) => reasons.includes(reason))
}
