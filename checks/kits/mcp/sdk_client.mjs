// A client made with the TypeScript SDK; the same story as sdk_client.py.
import { createRequire } from "node:module";
import { once } from "node:events";

const [, , socket, pythonPath, python, web] = process.argv;
const require = createRequire(`${web}/`);
const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");

const say = (found) => console.log(JSON.stringify(found));
const text = (result) => `${result.isError ? "error: " : ""}${result.content[0].text}`;

const client = new Client({ name: "test", version: "1" });
await client.connect(
  new StdioClientTransport({
    command: python,
    args: ["-m", "pyglue.mcp.main", "--socket", socket],
    env: { PYTHONPATH: pythonPath },
  }),
);
const call = (name, args, options) =>
  client.callTool({ name, arguments: args }, undefined, options);

const info = client.getServerVersion();
say({ server: [info.name, info.version], instructions: client.getInstructions() });
await client.ping();
say({ tools: (await client.listTools()).tools.map((tool) => tool.name) });
say({ bad: text(await call("send", { to: 1, body: "x" })) });
say({ unknown: await call("nothing", {}).then(text, (error) => error.message) });
const numbers = Array.from({ length: 100 }, (_, number) => String(number));
const said = await Promise.all(
  numbers.map((body) => call("send", { to: "alice", body }).then(text)),
);
say({ sent: said.length, errors: said.filter((one) => one.startsWith("error")) });
const given = new AbortController();
const waiting = call("recv", { wait_seconds: 120 }, { signal: given.signal });
await call("whoami", {});
given.abort();
await waiting.catch(() => {});
say({ gave_up: true });
await once(process.stdin, "data");
process.stdin.destroy();
const taken = JSON.parse(text(await call("recv", { wait_seconds: 120 })));
say({ taken: taken.messages.map((one) => one.body) });
const ids = taken.messages.map((one) => one.id);
say({ acked: text(await call("ack", { messages: ids })) });
say({ rest: JSON.parse(text(await call("recv", {}))).messages });
await client.close();
