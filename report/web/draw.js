"use strict";
/* Elements, axes and marks. Text only ever becomes text: nothing here reads HTML. */

function element(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function furnish(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

/* Call `draw(width)` now, and again whenever the width of `place` changes. */
function responsive(place, draw) {
  let drawn = 0;
  const observer = new ResizeObserver(() => {
    if (!place.isConnected) return observer.disconnect();
    const width = place.clientWidth;
    if (width && width !== drawn) draw(drawn = width);
  });
  observer.observe(place);
}

/* A logarithmic scale from latency (ns) to position, with its ticks. */
function logScale(low, high, from, to) {
  const least = Math.log(Math.max(low, 0.5)), most = Math.max(Math.log(Math.max(high, 1)), least + 0.1);
  const at = ns => from + (to - from) * (Math.log(Math.max(ns, 0.5)) - least) / (most - least);
  const decades = (most - least) / Math.LN10;
  const room = Math.max(1, Math.floor(Math.abs(to - from) / 62));
  const steps = decades * 3 <= room ? [1, 2, 5] : [1];
  const every = steps.length > 1 ? 1 : Math.max(1, Math.ceil(decades / room));
  const ticks = [];
  for (let power = Math.floor(least / Math.LN10); power <= Math.ceil(most / Math.LN10); power++) {
    if (((power % every) + every) % every) continue;
    for (const step of steps) {
      const value = step * 10 ** power;
      if (value >= 1 && Math.log(value) >= least - 1e-9 && Math.log(value) <= most + 1e-9) ticks.push(value);
    }
  }
  // Too narrow for round numbers.
  return { at, ticks: ticks.length > 1 ? ticks : [...new Set([low, high])] };
}

/* Round times between `start` and `end`, ns, that `room` labels have place for. */
function timeTicks(start, end, room) {
  const length = Math.max(end - start, 1);
  const rough = length / Math.max(room, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map(k => k * power).find(size => size >= rough));
  const ticks = [];
  for (let at = Math.ceil(start / step) * step; at <= end; at += step) ticks.push(at);
  return ticks;
}

/* A duration of `digits` digits, without noughts at its end. */
function tick(ns, digits = 3) {
  const units = [[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"]];
  const [size, unit] = units.find(([size, unit]) => Math.abs(ns) < size * 1000 || unit === "s");
  return `${+(ns / size).toPrecision(digits)} ${unit}`;
}

/* What a picture does not show, as its mark: of the recording, and of the function that it is about. */
function lossMark(data, fn = null) {
  const lost = data.loss.lost > 0;
  const missing = fn ? fn : data.loss.left_out;
  const calls = ["lost", "open", "unwound"].filter(what => missing[what]).map(what => `${count(missing[what])} ${what}`);
  const left = calls.length ? `; calls left out: ${calls.join(", ")}` : "";
  return element("span", { class: lost ? "bad loss" : "loss" }, `${lost ? "⚠ " : ""}${data.loss.events}${left}`);
}
