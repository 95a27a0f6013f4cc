"use strict";
/* Threads over time: a lane for each, as high as the thread was busy. */

function drawThreads(data) {
  const place = byId("threads");
  byId("threads-caption").append(
    data.threads_left_out ? `Left out: ${plural(data.threads_left_out, "thread")} that ${data.threads_left_out === 1 ? "was" : "were"} less busy. ` : "",
    data.loss.windows.length ? `Red: events were lost${data.loss.window_count > data.loss.windows.length ? ` (the latest ${count(data.loss.windows.length)} of ${count(data.loss.window_count)} times)` : ""}. ` : "",
    lossMark(data));
  if (!data.threads.length) return place.append(element("p", { class: "empty" }, "No thread made a recorded call."));
  for (const thread of data.threads) {
    const lane = shape("svg", { viewBox: "0 0 1000 26", preserveAspectRatio: "none", role: "img", "aria-label": `Thread ${thread.pid}` },
      shape("path", { class: "busy", d: lanePath(thread.lane) }),
      shape("g", { class: "chart" }, ...lossWindows(data, 0, 1000, 0, 26, thread.pid)),
      ...thread.lane.map((share, i) => shape("rect", { x: 1000 * i / data.lane_slices, y: 0, width: 1000 / data.lane_slices, height: 26, fill: "transparent" },
        shape("title", {}, `${tick(data.offset + data.length * i / data.lane_slices, 7)}: busy ${(share / 10).toFixed(1)}%`))));
    const ids = thread.pid === thread.tgid ? `${thread.pid}` : `${thread.pid} of ${thread.tgid}`;
    place.append(element("div", { class: "lane" },
      element("div", { class: "who" }, element("b", {}, thread.name === null ? "unnamed" : printable(thread.name)), element("span", { class: "soft" }, ` ${ids}`)),
      lane,
      element("div", { class: "number soft" }, `${duration(thread.busy)} · ${plural(thread.calls, "call")}`)));
  }
  const axis = element("div");
  place.append(element("div", { class: "lane axis" }, element("div", { class: "who soft" }, "since the recording began"), axis, element("div", { class: "number" })));
  responsive(axis, width => axis.replaceChildren(chart(width, 18, "Time", ...timeAxis(data, 0, width, 0))));
}

function lanePath(lane) {
  const wide = 1000 / lane.length;
  return lane.map((share, i) => share ? `M${(i * wide).toFixed(2)} 26v${(-Math.max(1, share * 0.026)).toFixed(2)}h${wide.toFixed(2)}V26z` : "").join("");
}
