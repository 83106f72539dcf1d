import type { CheckChange } from '../../types/events.js'
import type { Logger } from '../../types/logger.js'

/** One line where a check turns: it may have taken the process out of the rotation. That it passes from the start is no news. */
export function logCheckChange(logger: Logger, change: CheckChange): void {
  const { name, probe, status, previous, output } = change
  const what = `check ${name} of ${probe}`
  const fields = { event: 'check:change', change }
  if (status !== 'pass') {
    const soft = status === 'warn' ? ' (the probe passes all the same)' : ''
    logger.warn(fields, `${what} fails${soft}: ${output}`)
  } else if (previous !== undefined) logger.info(fields, `${what} passes again`)
}
