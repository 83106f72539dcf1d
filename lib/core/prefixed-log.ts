import type { Logger } from '../../types/logger.js'

const prefix = 'peerpulse: '

/** The app's logger, with lines that say whose they are. Its methods are looked up anew each time: pino swaps them when its level changes. */
export function prefixedLog(logger: Logger): Logger {
  const line = (message: string) => (message.startsWith(prefix) ? message : prefix + message)
  return {
    info: (fields, message) => logger.info(fields, line(message)),
    warn: (fields, message) => logger.warn(fields, line(message)),
    error: (fields, message) => logger.error(fields, line(message)),
    ...(typeof logger.debug === 'function' && {
      debug: (fields: object, message: string) => logger.debug?.(fields, line(message)),
    }),
    isLevelEnabled: (level) =>
      typeof logger.isLevelEnabled !== 'function' || logger.isLevelEnabled(level) !== false,
  }
}
