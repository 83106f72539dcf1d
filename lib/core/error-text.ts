import { peerText } from './peer-text.js'

/** What was thrown, in words that fit a log, whatever it was: people throw objects that no string can be made of. */
export function errorText(thrown: unknown): string {
  return peerText(wordsOf(thrown) || 'an error without a message')
}

function wordsOf(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return String(thrown)
    // Node's error for a host none of whose addresses answered has an empty message, and the reasons inside.
    const inside = thrown instanceof AggregateError ? thrown.errors.map(wordsOf).join('; ') : ''
    return String(thrown.message ?? '') || inside || thrown.name
  } catch {
    return 'something that cannot be printed'
  }
}
