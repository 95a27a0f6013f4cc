"use strict";
/* Put the page together. */

(() => {
  const data = JSON.parse(byId("data").textContent);
  data.names = data.names.map(printable);
  const telling = tellingPlaces(data.names);
  const short = data.names.map((name, i) => elide(name, 200, telling[i]));
  const functions = data.functions.map(([module, entryOnly, pairs, ...statistics], place) => {
    const histogram = [];
    for (let i = 0; i < pairs.length; i += 2) histogram.push([pairs[i], pairs[i + 1]]);
    return {
      place, histogram, name: data.names[place], short: short[place], module: fileOf(data.modules[module] ?? ""),
      path: printable(data.modules[module] ?? ""), entry_only: entryOnly === 1,
      ...Object.fromEntries(data.statistics.map((name, i) => [name, statistics[i]])),
    };
  });

  // Modules by the time in them decide the colours.
  const weight = data.modules.map(() => 0);
  data.functions.forEach((fn, i) => { if (fn[0] < weight.length) weight[fn[0]] += functions[i].self_ns || 0; });
  const rank = new Map([...weight.keys()].sort((a, b) => weight[b] - weight[a]).map((module, i) => [module, i]));
  const modulePlace = place => (data.functions[place] ? rank.get(data.functions[place][0]) ?? HUES.length - 1 : HUES.length - 1);
  modulePlace.of = module => Math.min(rank.get(module), HUES.length - 1);

  let mark = () => {};
  const choose = (place, reveal = false) => {
    if (!functions[place]) return;
    mark(place);
    drawDetail(data, functions, functions[place], choose);
    // Where it stands below the table, the choice would go unseen.
    if (reveal && getComputedStyle(byId("detail")).position === "static") byId("detail").scrollIntoView();
  };

  drawSummary(data);
  drawLegend(data, modulePlace);
  mark = drawTable(data, functions, choose);
  drawFlame(data, data.names, telling, modulePlace, choose);
  drawThreads(data);
  drawRecording(data);
  if (functions.length) choose(0);
  else drawDetail(data, functions, null, choose);

  for (const button of document.querySelectorAll("[data-to]"))
    button.addEventListener("click", () => byId(button.dataset.to).scrollIntoView());
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
})();
