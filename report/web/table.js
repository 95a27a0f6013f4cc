"use strict";
/* The table of functions: sorted, searched, a part of it shown at a time. */

/* Rows shown at first, and more of them at a time; each is a card where the page is narrow. */
const PART = matchMedia("(max-width: 680px)").matches ? 10 : 200;

const COLUMNS = [
  { label: "Function", key: fn => fn.name.toLowerCase(), text: true },
  { label: "Latency", key: fn => fn.p50_ns, title: "Spread of latencies, all functions on one logarithmic scale, and so are their numbers; sorts by the median" },
  { label: "Calls", key: fn => fn.calls, show: fn => count(fn.calls) },
  { label: "Total", key: fn => fn.total_ns, show: fn => duration(fn.total_ns), title: "Time inside the function; of nested calls only the outermost" },
  { label: "Self", key: fn => fn.self_ns, show: fn => duration(fn.self_ns), title: "Time inside the function but not inside recorded callees" },
  { label: "P50", key: fn => fn.p50_ns, show: fn => duration(fn.p50_ns), title: "Median of complete calls" },
  { label: "P99", key: fn => fn.p99_ns, show: fn => duration(fn.p99_ns), title: "99th percentile of complete calls" },
];

function drawTable(data, functions, choose) {
  const state = { sort: 3, descending: true, term: "", shown: PART };
  const head = byId("table").tHead, body = byId("table").tBodies[0];
  const scale = logScale(...extent(data.bounds), 0, 60);
  let listed = [];

  const headers = COLUMNS.map((column, i) => {
    const button = element("button", { title: column.title, onclick: () => sortBy(i) }, column.label);
    return element("th", { scope: "col" }, button);
  });
  head.append(element("tr", {}, ...headers));

  function sortBy(i) {
    state.descending = state.sort === i ? !state.descending : !COLUMNS[i].text;
    state.sort = i;
    state.shown = PART;
    update();
  }

  function update() {
    const term = state.term.toLowerCase();
    const key = COLUMNS[state.sort].key, sign = state.descending ? -1 : 1;
    listed = functions.filter(fn => !term || fn.name.toLowerCase().includes(term) || fn.module.toLowerCase().includes(term));
    // Unknown comes last, whichever way.
    listed.sort((a, b) => {
      const one = key(a), other = key(b);
      if (one === other) return a.place - b.place;
      if (one === null || other === null) return one === null ? 1 : -1;
      return one < other ? -sign : sign;
    });
    headers.forEach((header, i) => {
      if (i === state.sort) header.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
      header.firstChild.textContent = COLUMNS[i].label + (i === state.sort ? (state.descending ? " ↓" : " ↑") : "");
    });
    body.replaceChildren();
    show(0);
    byId("table-count").textContent = term ? `${count(listed.length)} of ${count(functions.length)}` : plural(functions.length, "function");
  }

  function show(from) {
    body.append(...listed.slice(from, state.shown).map(row));
    const left = listed.length - Math.min(state.shown, listed.length);
    byId("table-more").hidden = !left;
    byId("table-more").textContent = `Show ${count(Math.min(left, PART))} more of ${count(left)}`;
    if (!listed.length) {
      const why = functions.length ? "No function has that in its name or module." : "No function was called.";
      body.append(element("tr", {}, element("td", { class: "empty", colspan: COLUMNS.length }, why)));
    }
  }

  function row(fn) {
    const cells = COLUMNS.slice(2).map(column =>
      element("td", { class: "number", "data-label": column.label }, column.show(fn)));
    const name = element("td", { title: fn.name === fn.short ? null : fn.name },
      element("button", { class: "name" }, ...breakable(fn.short)), element("span", { class: "module" }, fn.module));
    const spark = element("td", {}, sparkline(fn, data.bounds, scale));
    return element("tr", { "data-function": fn.place, class: fn.place === chosen ? "chosen" : null, onclick: () => choose(fn.place, true) }, name, spark, ...cells);
  }

  let chosen = -1;
  byId("table-more").addEventListener("click", () => {
    const from = state.shown;
    state.shown += PART;
    show(from);
  });
  byId("table-search").addEventListener("input", event => {
    state.term = event.target.value;
    state.shown = PART;
    update();
  });
  update();
  const left = data.functions_left_out;
  byId("table-left-out").append(
    left.functions ? `Left out for want of room: ${plural(left.functions, "function")} with the least time, ${plural(left.calls, "call")}, ${duration(left.self_ns)} of self time. ` : "",
    lossMark(data));
  return place => {
    chosen = place;
    for (const old of body.querySelectorAll(".chosen")) old.classList.remove("chosen");
    body.querySelector(`[data-function="${place}"]`)?.classList.add("chosen");
  };
}

/* The least and the greatest latency of all. */
function extent(bounds) {
  const all = Object.values(bounds);
  return all.length ? [Math.min(...all.map(b => b[0])), Math.max(...all.map(b => b[1])) + 1] : [1, 10];
}

function sparkline(fn, bounds, scale) {
  if (!fn.histogram.length) return "";
  const most = Math.max(...fn.histogram.map(([, calls]) => calls));
  const path = fn.histogram.map(([bucket, calls]) => {
    const [low, high] = bounds[bucket];
    const x = scale.at(low), width = Math.max(scale.at(high + 1) - x, 1), height = Math.max(1.5, 18 * Math.log1p(calls) / Math.log1p(most));
    return `M${x.toFixed(1)} 18v${(-height).toFixed(1)}h${width.toFixed(1)}v${height.toFixed(1)}z`;
  }).join("");
  return shape("svg", { class: "spark", viewBox: "0 0 60 18", "aria-hidden": "true" }, shape("path", { d: path }));
}
