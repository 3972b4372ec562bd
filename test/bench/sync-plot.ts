/**
 * Draws what reconciliation costs from the lines of the sync bench, as SVG:
 * `npm run --silent bench -- sync | node test/bench/sync-plot.ts > docs/images/sync-cost.svg`
 */
import { text } from 'node:stream/consumers'
import type { Figure } from './figure.ts'

interface Point {
  readonly x: number
  readonly y: number
}

interface Series {
  readonly label: string
  readonly colour: string
  readonly points: readonly Point[]
}

interface Panel {
  readonly title: string
  readonly below: string
  readonly ticksX: readonly number[]
  readonly ticksY: readonly number[]
  readonly series: readonly Series[]
}

const [WIDTH, HEIGHT] = [430, 330]
const EDGE = { left: 62, right: 14, top: 64, bottom: 48 }
const COLOURS = { calm: '#0072b2', news: '#d55e00', naive: '#888888' }

/** Points of the figures whose names fit, by the number in them. */
function pointsOf(
  figures: readonly Figure[],
  pattern: RegExp,
  measureOf: (figure: Figure) => number | undefined = ({ value }) => value,
): readonly Point[] {
  return figures.flatMap((figure) => {
    const x = Number(pattern.exec(figure.name)?.[1])
    const y = measureOf(figure)
    return Number.isNaN(x) || y === undefined ? [] : [{ x, y }]
  })
}

/** Where a value stands on a logarithmic axis. */
function place(value: number, ticks: readonly number[], from: number, to: number): number {
  const [least = 1, most = 1] = [ticks[0], ticks.at(-1)]
  return from + ((to - from) * Math.log(value / least)) / Math.log(most / least)
}

const short = (value: number): string =>
  value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : `${value}`

function draw({ title, below, ticksX, ticksY, series }: Panel, left: number): string {
  const x = (value: number): number => left + place(value, ticksX, EDGE.left, WIDTH - EDGE.right)
  const y = (value: number): number => place(value, ticksY, HEIGHT - EDGE.bottom, EDGE.top)
  const at = (point: Point): string => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`
  const grid = ticksY.map(
    (tick) =>
      `<path class="grid" d="M${left + EDGE.left} ${y(tick).toFixed(1)}H${left + WIDTH - EDGE.right}"/>` +
      `<text class="end" x="${left + EDGE.left - 6}" y="${(y(tick) + 4).toFixed(1)}">${short(tick)}</text>`,
  )
  const axis = ticksX.map(
    (tick) =>
      `<text class="mid" x="${x(tick).toFixed(1)}" y="${HEIGHT - EDGE.bottom + 18}">${short(tick)}</text>`,
  )
  const lines = series.map(({ label, colour, points }, n) => {
    const dots = points
      .map((point) => `<circle cx="${at(point).replace(',', '" cy="')}" r="3" fill="${colour}"/>`)
      .join('')
    const legend = `<text x="${left + EDGE.left + n * 118}" y="${EDGE.top - 14}" style="fill:${colour}">${label}</text>`
    return `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.map(at).join(' ')}"/>${dots}${legend}`
  })
  const heading = `<text class="title" x="${left + EDGE.left}" y="24">${title}</text>`
  const foot = `<text class="mid" x="${left + (EDGE.left + WIDTH - EDGE.right) / 2}" y="${HEIGHT - 8}">${below}</text>`
  return [heading, ...grid, ...axis, ...lines, foot].join('\n')
}

const figures = (await text(process.stdin))
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line) as Figure)

const panels: readonly Panel[] = [
  {
    title: 'Bytes of one exchange, records aside',
    below: 'records that both hold',
    ticksX: [1e3, 1e4, 1e5, 1e6],
    ticksY: [100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8],
    series: [
      {
        label: 'nothing new',
        colour: COLOURS.calm,
        points: pointsOf(figures, /^nothing new, (\d+) records in \d+ logs$/),
      },
      {
        label: '1,000 new',
        colour: COLOURS.news,
        points: pointsOf(figures, /^1000 new in .* (\d+) records in \d+ logs, besides records$/),
      },
      {
        label: 'list of all ids',
        colour: COLOURS.naive,
        points: pointsOf(
          figures,
          /^nothing new, (\d+) records in \d+ logs$/,
          ({ baseline }) => baseline?.value,
        ),
      },
    ],
  },
  {
    title: 'Bytes of each node, records aside',
    below: 'nodes, each with at most four neighbours',
    ticksX: [2, 5, 10, 20, 50],
    ticksY: [100, 1e3, 1e4, 1e5],
    series: [
      {
        label: 'a quiet round',
        colour: COLOURS.calm,
        points: pointsOf(figures, /^a round with nothing new, (\d+) nodes$/),
      },
      {
        label: 'until all have 1,000 new',
        colour: COLOURS.news,
        points: pointsOf(figures, /^until all have the news, (\d+) nodes$/),
      },
    ],
  },
]
const style =
  'text{font:12px sans-serif;fill:#555}.title{font-weight:bold}.mid{text-anchor:middle}' +
  '.end{text-anchor:end}.grid{stroke:#999;stroke-opacity:.3}'
process.stdout.write(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${2 * WIDTH} ${HEIGHT}" role="img" ` +
    `aria-label="What reconciliation costs by size of the set and number of nodes">\n` +
    `<style>${style}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n` +
    `${panels.map((panel, n) => draw(panel, n * WIDTH)).join('\n')}\n</svg>\n`,
)
