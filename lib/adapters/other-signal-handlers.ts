import { isOurListener } from './terminus.js'

/** Calls that end the process, or whose name says so. A question, a flag that is set, news of it, a child that is killed or a client that quits does not. */
const ends =
  /\bprocess\s*\.\s*(?:exit|kill|abort|reallyExit)\b|\b(?!(?:is|has|on|log|print|will|should|set|mark|note|notify|record|report|announce|emit|track|count)[A-Z_])\w*(?:[eE]xit|[sS]hut_?[dD]own)\w*\s*\(/
/** What only looks like code. */
const commentsAndStrings =
  /\/\*[\s\S]*?\*\/|\/\/.*$|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/gm

/**
 * Listeners of the app's or a library's that may end the process on one of these signals, before a drain is done. Judged by
 * their source, so none is found that calls something which exits; one that looks whether it is alone, as `signal-exit`
 * and Prisma do, ends nothing beside ours.
 */
export function otherSignalHandlers(signals: readonly NodeJS.Signals[]): { signal: string; name: string }[] {
  return signals.flatMap((signal) =>
    process
      .listeners(signal)
      .filter((listener) => !isOurListener(listener) && mayEnd(listener))
      .map(({ name }) => ({ signal, name: name || 'a function without a name' })),
  )
}

function mayEnd(listener: { readonly name: string }): boolean {
  const source = Function.prototype.toString.call(listener).replace(commentsAndStrings, '')
  if (/\.listener(?:s|Count)\(/.test(source)) return false
  // A bound function has no source, but the name of what it calls.
  return ends.test(source) || /^bound \w*(?:exit|shut_?down)/i.test(listener.name)
}
