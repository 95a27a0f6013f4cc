"use strict";
/* Text and numbers as people read them. */

/* Characters that do not print, or that turn text round, shown by their number: a symbol may hold any. */
function printable(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/gu, c => {
    const code = c.codePointAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });
}

/* A time in three digits and the unit that suits it. */
function duration(ns) {
  if (ns === null || ns === undefined) return "–";
  if (Math.abs(ns) < 1000) return `${Math.round(ns)} ns`;
  const units = [[1e3, "µs"], [1e6, "ms"], [1e9, "s"]];
  const [size, unit] = units.find(([size, unit]) => Math.abs(ns / size) < 999.5 || unit === "s");
  const scaled = ns / size;
  const digits = Math.abs(scaled) >= 99.95 ? 0 : Math.abs(scaled) >= 9.995 ? 1 : 2;
  return `${scaled.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${unit}`;
}

function count(number) {
  return number === null || number === undefined ? "–" : number.toLocaleString("en-US");
}

function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

function percent(part, whole) {
  if (!whole) return "–";
  const share = 100 * part / whole;
  return share > 0 && share < 0.01 ? "<0.01%" : `${share.toFixed(share < 9.995 ? 2 : 1)}%`;
}

/* `text` in at most `most` characters. What is too long loses its middle, as both ends tell more; but the
   character at `telling` stays, which tells it from what it is most like. */
function elide(text, most, telling = 0) {
  const letters = [...text];
  if (letters.length <= most) return text;
  // Less than this tells nothing.
  if (most < 6) return "";
  const head = Math.floor((most - 1) / 2), tail = most - 1 - head;
  if (telling < head || telling >= letters.length - tail)
    return letters.slice(0, head).join("") + "…" + letters.slice(letters.length - tail).join("");
  const from = telling - Math.floor((most - 2) / 3);
  return "…" + letters.slice(from, from + most - 2).join("") + "…";
}

/* For each of some names where it first differs from the one that it shares the longest beginning with. */
function tellingPlaces(names) {
  const shared = (a, b) => {
    let i = 0;
    while (i < a.length && a[i] === b[i]) i++;
    return i;
  };
  const sorted = [...new Set(names)].sort().map(name => [...name]);
  const alike = sorted.slice(1).map((letters, i) => shared(sorted[i], letters));
  const places = new Map(sorted.map((letters, i) => [letters.join(""), Math.max(alike[i - 1] ?? 0, alike[i] ?? 0)]));
  return names.map(name => places.get(name));
}

/* `text` with places where it may break: after what separates the parts of names. */
function breakable(text) {
  return text.split(/(?<=[_:,<(.\/@-])(?![_:])/).flatMap((part, i) => (i ? [document.createElement("wbr"), part] : [part]));
}

/* A register's value, given as decimal text, as its type reads. */
function valueText(text, kind) {
  if (kind === "bool") return text === "0" ? "false" : "true";
  const value = BigInt(text);
  if (kind === "ptr" || (kind === null && value >= 1n << 32n)) return `0x${value.toString(16)}`;
  return text;
}

/* A group of values. */
function spanText(low, high, kind) {
  if (low === high) return valueText(low, kind);
  const least = BigInt(low);
  if (least >= 1n << 16n && (least & (least - 1n)) === 0n) {
    const exponent = least.toString(2).length - 1;
    return `2^${exponent}…2^${exponent + 1}`;
  }
  return `${valueText(low, kind)}…${valueText(high, kind)}`;
}
