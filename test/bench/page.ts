import { scenarios } from "./peers.ts"
import { type Comparison, cachedNote, primitivesOf, type Results, requestsOf, sharesOf } from "./results.ts"

/** The results as one page with nothing outside it: a bar for each median, a line from the quickest round to the slowest. */
export function page(results: Results): string {
  const { machine, peers, lacking } = results
  const memory = `${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB`
  const where = `${machine.processor}, ${String(machine.cores)} cores, ${memory} · ${machine.system} · Node ${machine.node}`
  const how = `${String(results.rounds)} rounds, in turn${results.quick ? "; quick: small trees" : ""}`
  const who = [
    ...peers.map(({ name, version, settings }) => ({ name, text: `${version}: ${settings}` })),
    ...lacking.map(({ name, why }) => ({ name, text: `left out: ${why}` })),
  ]
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Holdline: benchmark</title><style>${style}</style></head>
<body>
<h1>Benchmark</h1>
<p>${escaped(results.started)} · ${escaped(where)} · ${how}</p>
<p>${cachedNote}</p>
${results.data.map((data) => section(data, results)).join("\n")}
<h2>What the machine can do</h2>
${list([primitivesOf(results), ...sharesOf(results)])}
<h2>Requests</h2>
${list(requestsOf(results))}
<h2>Who was compared</h2>
<dl>${who.map(({ name, text }) => `<dt>${escaped(name)}</dt><dd>${escaped(text)}</dd>`).join("")}</dl>
</body></html>
`
}

function list(lines: readonly string[]): string {
  return `<ul>${lines.map((line) => `<li>${escaped(line)}</li>`).join("")}</ul>`
}

function section(data: Results["data"][number], results: Results): string {
  const charts = scenarios.map((scenario) => {
    const rows = results.comparisons.filter((one) => one.data === data.name && one.scenario === scenario)
    return rows.length === 0 ? "" : `<h3>${scenario}</h3>${chart(rows)}`
  })
  return `<h2>${data.name}: ${data.files.toLocaleString("en")} files, ${(data.bytes / 1e6).toFixed(0)} MB</h2>${charts.join("")}`
}

const rowHeight = 30
const labelWidth = 130
const barsWidth = 400
const width = 1000

function chart(rows: readonly Comparison[]): string {
  const most = Math.max(...rows.map(({ wallSeconds }) => wallSeconds.maximum))
  const x = (seconds: number): string => (labelWidth + (seconds / most) * barsWidth).toFixed(1)
  const bars = rows.map((row, index) => {
    const { median, minimum, maximum } = row.wallSeconds
    const top = index * rowHeight + 6
    const middle = top + 10
    const whiskers = [minimum, maximum].map((seconds) => `M${x(seconds)} ${String(middle - 4)}v8`).join("")
    return `<g class="${row.peer.startsWith("holdline") ? "own" : "peer"}">
<text x="${String(labelWidth - 10)}" y="${String(middle + 4)}" text-anchor="end">${escaped(row.peer)}</text>
<path class="bar" d="M${String(labelWidth)} ${String(top)}H${x(median)}v20H${String(labelWidth)}z"/>
<path class="spread" d="M${x(minimum)} ${String(middle)}H${x(maximum)}${whiskers}"/>
<text x="${String(labelWidth + barsWidth + 14)}" y="${String(middle + 4)}">${facts(row)}</text></g>`
  })
  const height = String(rows.length * rowHeight + 8)
  return `<svg viewBox="0 0 ${String(width)} ${height}" role="img" aria-label="time by program">${bars.join("")}</svg>`
}

function facts({ wallSeconds, cpuSeconds, peakBytes, storedBytes, ratio }: Comparison): string {
  const parts = [
    `<tspan class="time">${wallSeconds.median.toFixed(2)} s</tspan>`,
    ...(cpuSeconds === null ? [] : [`cpu ${cpuSeconds.toFixed(2)} s`]),
    ...(peakBytes === null ? [] : [`memory ${(peakBytes / 1e6).toFixed(0)} MB`]),
    `stored ${(storedBytes / 1e6).toFixed(0)} MB`,
    ...(ratio === null ? [] : [`holdline ×${ratio.median.toFixed(2)}`]),
  ]
  return parts.join(" · ")
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${String(character.charCodeAt(0))};`)
}

const style = `
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --own: #0b6bcb; --peer: #9aa5b1; --quiet: #5b6673 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --paper: #12171e; --own: #4da3ff; --peer: #5b6673; --quiet: #9aa5b1 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 2.2rem 0 .4rem } h3 { margin: 1.1rem 0 .2rem; font-weight: 600; color: var(--quiet) }
svg { width: 100%; height: auto; display: block } svg text { font: 12.5px system-ui, sans-serif; fill: var(--ink) } svg .time { font-weight: 700 }
.bar { fill: var(--peer) } .own .bar { fill: var(--own) } .spread { stroke: var(--ink); stroke-width: 1.2; fill: none; opacity: .75 }
dt { font-weight: 600 } dd { margin: 0 0 .5rem; color: var(--quiet) }
`
