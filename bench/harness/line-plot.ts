import { text } from './svg-text.js'

/** Points that a line keeps; a picture shows no more. */
const mostPoints = 150
const plotHeight = 280
const margin = { left: 64, right: 24, top: 12, bottom: 64 }
/** peerpulse is green, as its bars are. */
const green = '#0a7d5a'
const otherColours = ['#8a94a6', '#c2571a', '#5a4fcf', '#1b2430']

/** A value at times that lie equally far apart. */
export interface Line {
  readonly name: string
  readonly everyS: number
  readonly values: readonly number[]
  /** What its end was, where it ended before the others: `killed`. */
  readonly end?: string
}

export interface LinePlot {
  readonly title: string
  readonly unit: string
  readonly lines: readonly Line[]
  readonly ceilings: readonly { readonly name: string; readonly value: number }[]
}

/** A line of what was seen at `atS` seconds; where several fall into one step it keeps the highest, so that no peak is lost. */
export function lineOf(name: string, seen: readonly { atS: number; value: number }[], end?: string): Line {
  const last = seen.at(-1)?.atS ?? 0
  const everyS = Math.max(0.25, Math.ceil((last / mostPoints) * 4) / 4)
  const values: number[] = []
  for (const { atS, value } of seen) {
    const step = Math.floor(atS / everyS)
    // A step without a reading is as the one before.
    while (values.length <= step) values.push(values.length === step ? value : (values.at(-1) ?? value))
    values[step] = Math.max(values[step] as number, value)
  }
  return {
    name,
    everyS,
    values: values.map((value) => Number(value.toPrecision(4))),
    ...(end !== undefined && { end }),
  }
}

/** The next of 1, 2, 5, 10, 20 ... that makes at most so many steps up to `most`. */
function stepFor(most: number, steps: number): number {
  const least = most / steps
  const decade = 10 ** Math.floor(Math.log10(least))
  return ([1, 2, 5, 10].find((factor) => factor * decade >= least) ?? 10) * decade
}

/** The plot as SVG, from `top` downwards. */
export function drawLines(plot: LinePlot, width: number, top: number): { svg: string; height: number } {
  const { title, unit, lines, ceilings } = plot
  const longestS = Math.max(1, ...lines.map(({ everyS, values }) => everyS * values.length))
  const highest =
    1.05 * Math.max(1, ...lines.flatMap(({ values }) => values), ...ceilings.map(({ value }) => value))
  const right = width - margin.right
  const bottom = top + plotHeight - margin.bottom
  const x = (s: number) => Number((margin.left + (s / longestS) * (right - margin.left)).toFixed(1))
  const y = (value: number) => Number((bottom - (value / highest) * (bottom - top - margin.top)).toFixed(1))
  const parts = [
    text(margin.left, top + 4, `${title}, ${unit}`),
    `<path d="M${margin.left} ${top + margin.top}V${bottom}H${right}" fill="none" stroke="#1b2430"/>`,
  ]
  const yStep = stepFor(highest, 5)
  for (let value = 0; value <= highest; value += yStep)
    parts.push(
      text(margin.left - 8, y(value) + 4, String(value), ' text-anchor="end"'),
      `<path d="M${margin.left} ${y(value)}H${right}" stroke="#e4e7ec"/>`,
    )
  const xStep = stepFor(longestS, 8)
  for (let s = 0; s <= longestS; s += xStep)
    parts.push(text(x(s), bottom + 18, `${s} s`, ' text-anchor="middle"'))
  for (const { name, value } of ceilings)
    parts.push(
      `<path d="M${margin.left} ${y(value)}H${right}" stroke="#b3261e" stroke-dasharray="6 4"/>`,
      text(right, y(value) - 5, name, ' text-anchor="end" fill="#b3261e"'),
    )
  let legend = margin.left
  let others = 0
  for (const { name, everyS, values, end } of lines) {
    const colour = name === 'peerpulse' ? green : otherColours[others++ % otherColours.length]
    const points = values.map((value, step) => `${x((step + 0.5) * everyS)},${y(value)}`)
    parts.push(`<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`)
    if (end !== undefined && points.length > 0) {
      const [atX, atY] = (points.at(-1) as string).split(',').map(Number) as [number, number]
      // Beside the line, on the side where there is room.
      const isRight = atX > width * 0.7
      const anchor = isRight ? ' text-anchor="end"' : ''
      parts.push(text(atX + (isRight ? -8 : 8), atY + 12, `✗ ${end}`, `${anchor} fill="${colour}"`))
    }
    parts.push(
      `<path d="M${legend} ${bottom + 40}h20" stroke="${colour}" stroke-width="3"/>`,
      text(legend + 26, bottom + 44, name),
    )
    legend += 26 + name.length * 7 + 24
  }
  return { svg: parts.join('\n'), height: plotHeight }
}
