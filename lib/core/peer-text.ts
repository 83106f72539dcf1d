/** Text that a peer chose, made safe for logs and JSON: control characters are escaped and the length is cut. */
export function peerText(text: string, maxLength = 200): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not reach a log
  return cut.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
