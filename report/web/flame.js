"use strict";
/* The flame graph: d3-flame-graph does the frames, the zoom and the search. */

const CELL = 20;
/* Hues by module, the first for the one with most time; black reads well on all of them. */
const HUES = [[6, 50], [168, 196], [258, 288], [86, 126], [204, 226], [318, 344]];

function hash(text) {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619);
  // Names that differ in their last letter are to differ in colour.
  value = Math.imul(value ^ (value >>> 16), 2246822507);
  value = Math.imul(value ^ (value >>> 13), 3266489909);
  return ((value ^ (value >>> 16)) >>> 0) / 4294967296;
}

function frameColour(name, place) {
  const [from, to] = HUES[Math.min(place, HUES.length - 1)];
  const at = hash(name);
  return `hsl(${Math.round(from + (to - from) * at)} ${place ? 62 : 88}% ${Math.round((place ? 66 : 58) + 9 * hash(name + "l"))}%)`;
}

/* The tree as d3-flame-graph takes it: `v` is the time of a frame, those inside it included. */
function flameTree(data, names, telling) {
  const { parent, function: functions, calls, own, hidden } = data.flame;
  const root = { n: "all", v: data.flame.time, fn: -2, telling: 0, calls: data.calls, own: 0, hidden: 0, c: [] };
  const nodes = parent.map((_, i) => ({
    n: functions[i] < 0 ? "(a function whose name was left out)" : names[functions[i]],
    fn: functions[i], telling: telling[functions[i]] ?? 0, calls: calls[i], own: own[i], hidden: hidden[i], v: own[i] + hidden[i], c: [],
  }));
  for (let i = nodes.length - 1; i >= 0; i--) {
    if (parent[i] >= 0) nodes[parent[i]].v += nodes[i].v;
    (parent[i] < 0 ? root : nodes[parent[i]]).c.push(nodes[i]);
  }
  for (const node of [root, ...nodes]) node.c.sort((a, b) => b.v - a.v);
  return root;
}

function drawFlame(data, names, telling, modulePlace, choose) {
  const place = byId("flame");
  byId("flame-caption").append(flamePruned(data), lossMark(data));
  if (!data.flame.time) {
    place.append(element("p", { class: "empty" }, data.calls
      ? "No call has both its entry and its exit, so there are no times to draw."
      : "There are no calls to draw."));
    for (const id of ["flame-search", "flame-reset"]) byId(id).disabled = true;
    return;
  }
  const tree = flameTree(data, names, telling);
  const letter = measure();
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let width = 0;
  const describe = d => {
    const { n, v, calls, own, hidden } = d.data;
    const parts = [`${duration(v)}, ${percent(v, tree.v)}`, plural(calls, "call")];
    if (d.data.fn !== -2) parts.push(`${duration(own)} in itself`);
    if (hidden) parts.push(`${duration(hidden)} in paths too small to draw`);
    return `${n}: ${parts.join("; ")}`;
  };
  const chart = vendored.flamegraph()
    .cellHeight(CELL).inverted(true).minFrameSize(0.6).transitionDuration(0)
    .getName(d => elide(d.data.n, Math.floor(((d.x1 - d.x0) * width - 9) / letter), d.data.telling))
    .setLabelHandler(describe)
    .setDetailsHandler(text => { byId("flame-frame").textContent = text || zoomed(); })
    .setColorMapper(d => d.highlight ? "var(--hit)" : d.data.fn === -2 ? "hsl(40 12% 66%)"
      : frameColour(d.data.n, d.data.fn < 0 ? 0 : modulePlace(d.data.fn)))
    .setSearchMatch((d, term) => d.data.fn !== -2 && d.data.n.toLowerCase().includes(term.toLowerCase()))
    .setSearchHandler(found => {
      const outer = found.filter(d => !d.ancestors().slice(1).some(above => above.highlight));
      const time = outer.reduce((sum, d) => sum + d.data.v, 0);
      byId("flame-found").textContent = found.length
        ? `${plural(found.length, "frame")}, ${percent(time, tree.v)} of the time` : "nothing found";
    })
    .onClick(d => {
      focus = d;
      byId("flame-reset").disabled = !d.parent;
      byId("flame-frame").textContent = zoomed();
      if (d.data.fn >= 0) choose(d.data.fn);
    });
  let focus = null;
  const zoomed = () => focus && focus.parent ? describe(focus) : "";
  responsive(place, now => {
    const first = !width;
    width = now;
    chart.width(width);
    if (first) {
      chart.height((depthOf(tree) + 1) * CELL);
      vendored.select(place).datum(tree).call(chart);
    } else chart.update();
    // Zooming may glide, redrawing need not.
    chart.transitionDuration(0);
    if (!calm) setTimeout(() => chart.transitionDuration(250));
  });
  const search = byId("flame-search");
  search.addEventListener("input", () => {
    if (search.value) return chart.search(search.value);
    chart.clear();
    byId("flame-found").textContent = "";
  });
  byId("flame-reset").addEventListener("click", () => chart.resetZoom());
}

function depthOf(root) {
  let deepest = 0;
  const stack = [[root, 0]];
  while (stack.length) {
    const [node, depth] = stack.pop();
    deepest = Math.max(deepest, depth);
    for (const child of node.c) stack.push([child, depth + 1]);
  }
  return deepest;
}

/* The width of a letter of frames' labels, all letters being equally wide. */
function measure() {
  const probe = element("span", { class: "d3-flame-graph-label", style: "position:absolute;visibility:hidden;padding:0" }, "m".repeat(100));
  document.body.append(probe);
  const width = probe.getBoundingClientRect().width / 100;
  probe.remove();
  return width;
}

function flamePruned(data) {
  const { hidden_ns, hidden_calls, time, least_ns } = data.flame;
  const folded = "Recursion is folded. ";
  if (!hidden_calls) return folded;
  return `${folded}Not drawn: paths of less than about ${duration(least_ns)} each, together `
    + `${duration(hidden_ns)} (${percent(hidden_ns, time)}) in ${plural(hidden_calls, "call")}. `;
}

function drawLegend(data, modulePlace) {
  const used = new Set(data.flame.function.filter(fn => fn >= 0 && data.functions[fn] && data.functions[fn][0] < data.modules.length).map(fn => data.functions[fn][0]));
  if (used.size < 2) return;
  const named = [...used].map(module => [module, modulePlace.of(module)]).sort((a, b) => a[1] - b[1]);
  const own = named.filter(([, place]) => place < HUES.length - 1);
  const others = named.length - own.length;
  const colour = place => {
    const [from, to] = HUES[place];
    return `background: hsl(${(from + to) / 2} ${place ? 62 : 88}% ${place ? 70 : 62}%)`;
  };
  byId("flame-legend").append(
    ...own.map(([module, place]) => element("span", { title: printable(data.modules[module]) },
      element("i", { style: colour(place) }), fileOf(data.modules[module]))),
    others ? element("span", {}, element("i", { style: colour(HUES.length - 1) }), plural(others, "other module")) : null,
  );
}

function fileOf(path) {
  return printable(path.slice(path.lastIndexOf("/") + 1) || path);
}
