"use strict";
/* Pictures of one function, as SVG of the width that there is. */

/* How many calls took how long, on logarithmic axes, with the percentiles marked. */
function histogram(fn, bounds, width) {
  const height = 160, left = 46, top = 30, bottom = 20, floor = height - bottom;
  const buckets = fn.histogram.map(([bucket, calls]) => ({ low: bounds[bucket][0], high: bounds[bucket][1], calls }));
  const scale = logScale(buckets[0].low, buckets[buckets.length - 1].high + 1, left + 2, width - 6);
  const most = Math.max(...buckets.map(b => b.calls));
  // Few are seen beside many.
  const tallness = calls => (floor - top) * Math.log1p(calls) / Math.log1p(most);
  const bars = buckets.map(b => {
    const x = scale.at(b.low), tall = tallness(b.calls);
    return shape("rect", { x, y: floor - tall, width: Math.max(scale.at(b.high + 1) - x - 0.6, 0.8), height: tall },
      shape("title", {}, `${duration(b.low)} to ${duration(b.high)}: ${plural(b.calls, "call")}`));
  });
  const rows = [...Array(19).keys()].map(k => 10 ** k).filter(calls => calls <= most);
  const every = Math.ceil(rows.length / 5);
  const counts = rows.filter((_, i) => i % every === 0).flatMap(calls => {
    const y = floor - tallness(calls);
    return [shape("line", { x1: left, x2: width, y1: y, y2: y, class: "axis" }),
      shape("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, calls < 1e6 ? count(calls) : calls.toExponential().replace("+", ""))];
  });
  const marks = [["p50", fn.p50_ns], ["p90", fn.p90_ns], ["p99", fn.p99_ns], ["max", fn.max_ns]];
  let free = -Infinity;
  const lines = marks.flatMap(([name, ns]) => {
    const x = Math.min(Math.max(scale.at(ns), left), width - 6), text = `${name} ${duration(ns)}`, wide = text.length * 6.9;
    const from = Math.min(Math.max(x - wide / 2, left), width - wide);
    const line = shape("line", { x1: x, x2: x, y1: top - 8, y2: floor, class: name === "p50" ? "p50" : "p99", "stroke-dasharray": name === "p50" ? null : "3 3" });
    if (from < free) return [line];
    free = from + wide + 8;
    return [line, shape("text", { x: from, y: top - 13, class: name === "p50" ? "p50" : "p99" }, text)];
  });
  return chart(width, height, `Latency of ${fn.name}`, ...counts, shape("g", { class: "bars" }, ...bars), ...lines, ...logAxis(scale, floor, width),
    shape("line", { x1: left, x2: width, y1: floor, y2: floor, class: "axis" }));
}

/* When calls began, and how long they took: darker where there were more. */
function heatMap(cells, fn, data, width) {
  const height = 170, left = 56, top = 6, bottom = 20, floor = height - bottom;
  const buckets = [...new Set(cells.map(cell => cell[1]))].sort((a, b) => a - b);
  const low = data.bounds[buckets[0]][0], high = data.bounds[buckets[buckets.length - 1]][1] + 1;
  const scale = logScale(low, high, floor, top);
  const wide = (width - left - 4) / data.heat_slices;
  const most = Math.max(...cells.map(cell => cell[2]));
  const when = slice => data.offset + data.length * slice / data.heat_slices;
  const drawn = cells.map(([slice, bucket, calls]) => {
    const [least, greatest] = data.bounds[bucket];
    const y = scale.at(greatest + 1);
    const level = most === 1 ? 4 : 1 + Math.round(6 * Math.log(calls) / Math.log(most));
    return shape("rect", { x: left + slice * wide, y, width: wide + 0.3, height: Math.max(scale.at(least) - y + 0.3, 1), class: `heat-${level}` },
      shape("title", {}, `${tick(when(slice), 7)}: ${plural(calls, "call")} of ${duration(least)} to ${duration(greatest)}`));
  });
  const rows = scale.ticks.filter((_, i) => scale.ticks.length < 7 || i % 2 === 0).map(value => shape("text", { x: left - 6, y: scale.at(value) + 4, "text-anchor": "end" }, tick(value)));
  return chart(width, height, `Latency of ${fn.name} over time`, ...drawn,
    ...lossWindows(data, left, width - 4, top, floor, null), ...rows, ...timeAxis(data, left, width - 4, floor));
}

/* The median and the 99th percentile of each group of values, on one logarithmic scale. */
function groupChart(groups, kind, width) {
  const row = 20, labels = groups.map(([low, high]) => elide(spanText(low, high, kind), 22));
  const left = Math.min(width * 0.38, 14 + 7 * Math.max(...labels.map(text => text.length))), right = width - 74;
  const scale = logScale(Math.min(...groups.map(g => g[3])), Math.max(...groups.map(g => g[4])), left + 8, right - 8);
  const height = groups.length * row + 24;
  const rows = groups.flatMap(([low, high, calls, p50, p99], i) => {
    const y = i * row + row / 2;
    const title = () => shape("title", {}, `${spanText(low, high, kind)}: ${plural(calls, "call")}, p50 ${duration(p50)}, p99 ${duration(p99)}`);
    return [
      shape("text", { x: left - 4, y: y + 4, "text-anchor": "end", class: "label" }, labels[i], title()),
      shape("line", { x1: scale.at(p50), x2: scale.at(p99), y1: y, y2: y, class: "p99", "stroke-width": 2 }),
      shape("circle", { cx: scale.at(p99), cy: y, r: 3.2, class: "p99" }, title()),
      shape("circle", { cx: scale.at(p50), cy: y, r: 4.6, class: "p50" }, title()),
      shape("text", { x: width - 2, y: y + 4, "text-anchor": "end" }, `${count(calls)}×`),
    ];
  });
  return chart(width, height, "Latency by value", ...rows, ...logAxis(scale, groups.length * row + 4, right));
}

function chart(width, height, label, ...parts) {
  return shape("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...parts);
}

function logAxis(scale, y, width) {
  return scale.ticks.flatMap(value => {
    const x = scale.at(value);
    const anchor = x > width - 22 ? "end" : x < 18 ? "start" : "middle";
    return [shape("line", { x1: x, x2: x, y1: y, y2: y + 4, class: "axis" }), shape("text", { x, y: y + 16, "text-anchor": anchor }, tick(value))];
  });
}

function timeAxis(data, from, to, y) {
  const at = ns => from + (to - from) * (ns - data.offset) / Math.max(data.length, 1);
  return timeTicks(data.offset, data.offset + data.length, Math.max(1, Math.floor((to - from) / 90))).flatMap(ns => {
    const x = at(ns), anchor = x > to - 22 ? "end" : x < from + 18 ? "start" : "middle";
    return [shape("line", { x1: x, x2: x, y1: y, y2: y + 4, class: "axis" }), shape("text", { x, y: y + 16, "text-anchor": anchor }, tick(ns, 7))];
  });
}

/* When events were lost: of the thread `pid`, or of any. */
function lossWindows(data, from, to, top, bottom, pid) {
  const at = ns => from + (to - from) * ns / Math.max(data.length, 1);
  return data.loss.windows.filter(w => pid === null || w.pid === null || w.pid === pid).map(w =>
    shape("rect", { class: "lost", x: at(w.start), y: top, width: Math.max(at(w.end) - at(w.start), 1.5), height: bottom - top },
      shape("title", {}, `${plural(w.events, "event")} lost`)));
}
