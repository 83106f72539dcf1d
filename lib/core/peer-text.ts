/** Control characters and line separators, by Unicode category. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}]/gu

/** Text that a peer chose, made safe for logs and JSON: what does not print is escaped and the length is cut. */
export function peerText(text: string, maxLength = 200): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text
  return cut.replace(unprintable, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
