export const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

export const text = (x: number, y: number, content: string, style = '') =>
  `<text x="${x}" y="${y}"${style}>${escaped(content)}</text>`
