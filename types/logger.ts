/** The part of a pino logger that peerpulse calls. pino, bunyan and Fastify's `log` do. Every message begins with `peerpulse: `. */
export interface Logger {
  /** HTTP connections that ended in order. A logger without it is not told of them. */
  debug?(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** As pino and winston have it. Asked for `debug`, so that nothing is built for a line that nobody sees. */
  isLevelEnabled?(level: string): boolean
}
