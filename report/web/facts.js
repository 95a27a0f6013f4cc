"use strict";
/* What was recorded, and how. */

function drawSummary(data) {
  const { facts, loss } = data;
  const command = printable(facts.command || facts.processes.slice(0, 3).map(p => p.command || `process ${p.tgid}`).join(", ") || facts.trace);
  const when = new Date(facts.started_ms).toISOString().replace("T", " ").slice(0, 19);
  const tile = (value, label, kind = "") => element("div", { class: `tile ${kind}` }, element("b", {}, value), element("span", {}, label));
  byId("summary").append(
    element("h1", { title: command }, elide(command, 160)),
    element("p", { class: "soft" }, `Recorded ${when} UTC for ${duration(facts.duration)} on ${printable(facts.host)}`),
    facts.probe_costs.length ? element("p", { class: "soft" }, `Times ${facts.times}`) : "",
    facts.selection.length ? element("div", { class: "chips" }, element("span", { class: "soft" }, "Only"), ...facts.selection.map(text => element("span", { class: "chip" }, printable(text)))) : "",
    element("div", { class: "tiles" },
      tile(count(data.calls), "calls"),
      tile(`${count(data.called)} of ${count(facts.traced)}`, "functions called"),
      tile(duration(data.flame.time), "in recorded functions"),
      tile(count(data.threads.length + data.threads_left_out), data.threads.length + data.threads_left_out === 1 ? "thread" : "threads"),
      tile(count(loss.recorded), "events recorded"),
      ...Object.entries(loss.filtered).filter(([, events]) => events).map(([option, events]) => tile(count(events), `events left out by --${printable(option)}`)),
      loss.lost ? tile(count(loss.lost), `events lost, ${percent(loss.lost, loss.produced)}`, "bad") : tile("0", "events lost"),
    ),
  );
}

function drawRecording(data) {
  const { facts, loss } = data;
  const list = items => element("ul", {}, ...items.map(text => element("li", {}, text)));
  const left = Object.entries(loss.left_out).filter(([, calls]) => calls).map(([what, calls]) => plural(calls, `${what.replace("_", "-")} call`));
  const causes = Object.entries(loss.causes).filter(([, events]) => events).map(([cause, events]) => `${count(events)} ${cause}`);
  const filtered = Object.entries(loss.filtered).filter(([, events]) => events).map(([option, events]) => `${count(events)} events by --${printable(option)}`);
  const rows = [
    ["Trace", printable(facts.trace)],
    ["Command line", printable(facts.command_line)],
    ["Host", `${printable(facts.host)}, Linux ${printable(facts.kernel)}, ${printable(facts.architecture)}`],
    ["Recorder", `funcsnoop ${printable(facts.tool_version)}, ${printable(facts.attach)} links`],
    ["Ended", printable(facts.end_reason) + (facts.exit_status === null ? "" : `, exit status ${facts.exit_status}`)],
    ["Processes", list([
      ...facts.processes.map(p => `${p.tgid} ${printable(p.command)}`),
      ...(facts.process_count > facts.processes.length ? [`and ${count(facts.process_count - facts.processes.length)} more`] : []),
    ])],
    ["Functions", `${count(facts.traced)} traced, ${count(data.called)} called` + (facts.skipped ? `, ${count(facts.skipped)} skipped` : "")],
    ["Events", `${count(loss.produced)} produced, ${count(loss.recorded)} recorded, ${count(loss.lost)} lost${causes.length ? ` (${causes.join(", ")})` : ""}` + (loss.after_limit ? `, ${count(loss.after_limit)} past the limit` : "")],
    ["Left out on purpose", filtered.length ? filtered.join(", ") : "nothing"],
    ["Cost of probes", facts.probe_costs.length ? list(facts.probe_costs.map(probeCost)) : "not known"],
    ["Times", facts.times],
    ["Calls left out of times", left.length ? left.join(", ") : "none"],
    ["Notices", facts.notices.length ? list(facts.notices.map(printable)) : "none"],
  ];
  byId("recording").append(element("dl", { class: "facts" }, ...rows.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)])));
}

/* What a call costs more with its probes, as was measured when the recording began. */
function probeCost({ site_class, exit, call_ns, inside_ns }) {
  return `${duration(call_ns)} a call, ${duration(inside_ns)} of it in the call's own time (entry on ${printable(site_class)} instructions, exit by ${printable(exit)})`;
}
