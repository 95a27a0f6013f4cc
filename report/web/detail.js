"use strict";
/* One function: figures, latency, callers and callees, arguments. */

const RELATIVES = 12;
const FIGURES = [
  ["calls", "calls", count], ["total", "total_ns", duration], ["self", "self_ns", duration], ["mean", "mean_ns", duration],
  ["std. dev.", "stddev_ns", duration], ["min", "min_ns", duration], ["p50", "p50_ns", duration], ["p90", "p90_ns", duration],
  ["p95", "p95_ns", duration], ["p99", "p99_ns", duration], ["p99.9", "p999_ns", duration], ["max", "max_ns", duration],
];

function drawDetail(data, functions, fn, choose) {
  const place = byId("detail");
  if (!fn) return place.replaceChildren(element("p", { class: "empty" }, "Nothing to show."));
  const figures = FIGURES.map(([label, key, show]) => element("div", {}, element("span", {}, label), element("b", {}, show(fn[key]))));
  place.replaceChildren(
    element("h2", { class: "name" }, ...breakable(fn.name)),
    element("p", { class: "soft" }, element("span", { title: fn.path }, fn.module), ` · ${percent(fn.self_ns, data.flame.time)} of the time in itself`),
    element("div", { class: "figures" }, ...figures),
    ...latencyPart(data, fn), ...relativesPart(data, functions, fn, choose), ...argumentsPart(data, fn),
  );
  place.scrollTop = 0;
}

function latencyPart(data, fn) {
  if (!fn.histogram.length) {
    const why = fn.entry_only ? "Only entries of this function were recorded, so its calls have no latency."
      : "No call of this function is complete, so there is no latency to show.";
    return [element("h3", {}, "Latency"), element("p", { class: "empty" }, why), element("p", { class: "mark" }, lossMark(data, fn))];
  }
  const heat = data.heat.find(([of]) => of === fn.place);
  const parts = [element("h3", {}, "Latency"), picture(width => histogram(fn, data.bounds, width), data, fn)];
  if (heat) {
    const cells = [];
    for (let i = 0; i < heat[1].length; i += 3) cells.push(heat[1].slice(i, i + 3));
    parts.push(element("h3", {}, "Latency over time"), picture(width => heatMap(cells, fn, data, width), data, fn,
      `Stronger colour where more calls began, up to ${count(Math.max(...cells.map(cell => cell[2])))}. `));
  } else {
    parts.push(element("p", { class: "mark" }, "Latency over time is kept for the functions with the most time."));
  }
  return parts;
}

/* A picture that fits its place, with the mark of what it leaves out. */
function picture(draw, data, fn, legend = "") {
  const box = element("div");
  responsive(box, width => box.replaceChildren(draw(width)));
  return element("figure", {}, box, element("figcaption", {}, legend, lossMark(data, fn)));
}

function relativesPart(data, functions, fn, choose) {
  const callers = data.edges.filter(edge => edge[1] === fn.place), callees = data.edges.filter(edge => edge[0] === fn.place);
  return [
    element("h3", {}, "Called by"), relatives(callers, 0, functions, choose, "No caller was recorded."),
    element("h3", {}, "Calls"), relatives(callees, 1, functions, choose, "It called no recorded function."),
    ...(data.edges_left_out ? [element("p", { class: "mark" }, `Left out for want of room: ${plural(data.edges_left_out, "pair")} of caller and callee.`)] : []),
  ];
}

function relatives(edges, side, functions, choose, none) {
  if (!edges.length) return element("p", { class: "soft" }, none);
  const most = Math.max(...edges.map(edge => edge[3] || 0), 1);
  const rows = edges.slice(0, RELATIVES).map(edge => {
    const other = functions[edge[side]];
    const name = other ? element("button", { title: other.name, onclick: () => choose(other.place, true) }, ...breakable(other.short))
      : element("span", { class: "soft" }, "no recorded caller");
    return element("tr", {}, element("td", {}, name),
      element("td", { class: "share" }, element("i", { style: `width: ${100 * (edge[3] || 0) / most}%` })),
      element("td", { class: "number" }, duration(edge[3])),
      element("td", { class: "number soft" }, `${count(edge[2])}×`));
  });
  const left = edges.length - rows.length;
  return element("div", {}, element("table", { class: "relatives" }, element("tbody", {}, ...rows)),
    left ? element("p", { class: "mark" }, `and ${count(left)} more, with less time`) : null);
}

function argumentsPart(data, fn) {
  const rows = data.arguments.filter(([of]) => of === fn.place);
  const head = element("h3", {}, "Latency by argument");
  if (!rows.length) {
    const why = fn.place < data.arguments_of && !data.arguments_left_out ? "No arguments or return values were recorded." : "Arguments are shown for the functions with the most time.";
    return [head, element("p", { class: "soft" }, why)];
  }
  const raw = rows.some(row => row[2] === null || row[2] === "ptr");
  return [
    head,
    ...rows.map(row => argument(row, data, fn)),
    ...(raw ? [element("p", { class: "mark" }, "Registers are raw: an int fills the lower half only, and registers past the function's parameters mean nothing. --as FUNC:arg0=i32 reads them as a type.")] : []),
  ];
}

function argument([, name, kind, calls, distinct, least, greatest, top, groups], data, fn) {
  const title = name === "ret_val" ? "return value" : name;
  const type = kind === null ? "raw" : kind;
  const common = top.slice(0, 3).map(([value, times]) => `${valueText(value, kind)} (${percent(times, calls)})`).join(", ");
  const range = distinct === 1 ? `always ${valueText(least, kind)}`
    : `${plural(distinct, "value")}, ${valueText(least, kind)} to ${valueText(greatest, kind)}; most often ${common}`;
  const line = element("p", {}, element("b", {}, title), element("span", { class: "soft" }, ` ${type} · ${range}`));
  if (groups.length < 2) return element("div", { class: "argument" }, line);
  return element("div", { class: "argument" }, line, picture(width => groupChart(groups, kind, width), data, fn, "Large: p50, small: p99. "));
}
