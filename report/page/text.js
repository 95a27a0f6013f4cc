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

/* `text` in at most `most` characters; what is too long loses its middle, as both ends tell more. */
function elide(text, most) {
  const letters = [...text];
  if (letters.length <= most) return text;
  if (most <= 1) return "";
  const head = Math.floor((most - 1) / 2);
  return letters.slice(0, head).join("") + "…" + letters.slice(letters.length - (most - 1 - head)).join("");
}

/* Names for a list: very long ones lose their middle, unless two would then read the same. */
function shortened(names, most = 200) {
  const short = names.map(name => elide(name, most));
  const seen = new Map();
  short.forEach(name => seen.set(name, (seen.get(name) || 0) + 1));
  return short.map((name, i) => (seen.get(name) > 1 ? names[i] : name));
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
