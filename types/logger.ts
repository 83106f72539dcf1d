/** The part of a pino logger that peerpulse calls. pino, bunyan and Fastify's `log` do. */
export interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
