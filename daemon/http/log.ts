/** What the HTTP side needs of a logger; pino's fits. Foreign text goes into fields only. */
export interface HttpLog {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
