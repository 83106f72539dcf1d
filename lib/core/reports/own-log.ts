import type { Logger } from '../../../types/logger.js'
import { hear } from '../callbacks.js'
import { outside } from '../outside.js'

const prefix = 'peerpulse: '

/**
 * The app's logger, with lines that say whose they are, and made harmless: one that throws or rejects must not end the
 * process. Its methods are looked up anew each time: pino swaps them when its level changes.
 */
export function ownLog(logger: Logger, failed: (error: unknown) => void): Logger {
  const method = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: object, message: string) => {
    try {
      const line = message.startsWith(prefix) ? message : prefix + message
      // It is about the process, not about the request in which it came up.
      hear(
        outside(() => logger[level]?.(fields, line)),
        failed,
      )
    } catch (error) {
      failed(error)
    }
  }
  return {
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    ...(typeof logger.debug === 'function' && { debug: method('debug') }),
    isLevelEnabled(level) {
      try {
        return typeof logger.isLevelEnabled !== 'function' || logger.isLevelEnabled(level) !== false
      } catch (error) {
        failed(error)
        return false
      }
    },
  }
}
