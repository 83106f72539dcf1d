/**
 * What does not print, or prints as something else than it is, by Unicode category: control and format characters (marks
 * of direction, zero-width ones), lone surrogates, line separators, and whatever else is ignored by default.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

/** Most text, every address among it; to ask Unicode costs more than all else that a new connection needs. */
const plain = /^[ -~]*$/

/** Text that a peer chose, made safe for logs and JSON: what does not print is escaped, and the length, escapes included, is cut. */
export function peerText(text: string, maxLength = 200): string {
  if (text.length <= maxLength && plain.test(text)) return text
  const part = text.length > maxLength ? text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '') : text
  const printable = part.replace(unprintable, escapeOf)
  if (part === text && printable.length <= maxLength) return printable
  // No half of a character or of an escape stays.
  const cut = printable
    .slice(0, maxLength - 1)
    .replace(/(?:[\ud800-\udbff]|\\u?(?:[\da-f]{0,3}|\{[\da-f]*))$/, '')
  return flat(`${cut}…`)
}

/** A copy. A slice of a long text keeps all of it in memory. */
export function flat(text: string): string {
  return Buffer.from(text).toString()
}

function escapeOf(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`
}
