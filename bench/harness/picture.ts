import { drawLines, type LinePlot } from './line-plot.js'
import type { Measure, Verdict } from './report.js'
import { escaped, text } from './svg-text.js'

const barWidth = 310
const valueWidth = 130
/** Of an average letter of the font. */
const letterWidth = 6.6
const rowHeight = 24
const titleHeight = 44

/** What there is over time, a bar a measure with its quartiles, and below them the verdicts. Measures of one unit share a scale. */
export function picture(
  title: string,
  measures: readonly Measure[],
  verdicts: readonly Verdict[],
  plot?: LinePlot,
): string {
  const rows: string[] = []
  const longest = Math.max(0, ...measures.map(({ what }) => what.length))
  const labelWidth = Math.ceil(longest * letterWidth) + 24
  const width = Math.max(760, labelWidth + barWidth + valueWidth)
  let y = titleHeight
  if (plot !== undefined) {
    const drawn = drawLines(plot, width, y)
    rows.push(drawn.svg)
    y += drawn.height
  }
  const largest = new Map<string, number>()
  for (const { unit, high } of measures) largest.set(unit, Math.max(largest.get(unit) ?? 0, high))
  for (const measure of measures) {
    const scale = barWidth / (largest.get(measure.unit) || 1)
    const length = (value: number) => Math.max(1, value * scale).toFixed(1)
    const fill = measure.what.includes('peerpulse') ? '#0a7d5a' : '#8a94a6'
    rows.push(
      text(labelWidth - 8, y + 16, measure.what, ' text-anchor="end"'),
      `<rect x="${labelWidth}" y="${y + 4}" width="${length(measure.median)}" height="16" fill="${fill}"/>`,
      `<line x1="${labelWidth + Number(length(measure.low))}" x2="${labelWidth + Number(length(measure.high))}" y1="${y + 12}" y2="${y + 12}" stroke="#1b2430" stroke-width="2"/>`,
      text(width - valueWidth + 8, y + 16, `${measure.median} ${measure.unit}`),
    )
    y += rowHeight
  }
  y += 8
  for (const { what, net, unit, atMost, atLeast, met } of verdicts) {
    const limit =
      atMost !== undefined ? ` (at most ${atMost})` : atLeast !== undefined ? ` (at least ${atLeast})` : ''
    const mark = met === undefined ? '' : met ? '✓ ' : '✗ '
    rows.push(text(16, y + 16, `${mark}${what}: ${net}${unit === 'ratio' ? '' : ` ${unit}`}${limit}`))
    y += rowHeight
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 12}" font-family="system-ui, sans-serif" font-size="13" fill="#1b2430">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
${text(16, 26, title, ' font-size="15" font-weight="600"')}
${rows.join('\n')}
</svg>
`
}
