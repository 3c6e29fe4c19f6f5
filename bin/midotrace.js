#!/usr/bin/env node
// The launcher: plain JavaScript for any Node, because what it starts needs Node 24. Runs the built program when there is
// one (an installed package), else the sources (a checkout); on an older Node, under the one that comes with the package.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const NEEDED = 24;
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const built = at("../dist/apps/cli/main.js");
const source = at("../src/apps/cli/main.ts");
// A checkout has sources, and they are newer than whatever was built from them.
const args = existsSync(source) ? ["--conditions=source", source] : [built];

const own = Number(process.versions.node.split(".")[0]) >= NEEDED;
const bundled = [at("../node_modules/node/bin/node"), at("../../node/bin/node")].find(existsSync);

if (!own && bundled === undefined) {
  console.error(
    `midotrace: needs Node ${NEEDED} or later, this is ${process.version}. Install it from https://nodejs.org, or run npm install here.`,
  );
  process.exit(1);
}
if (!existsSync(args.at(-1))) {
  console.error("midotrace: neither dist/ nor src/ is here: run npm run build");
  process.exit(1);
}
if (own && args.length === 1) {
  await import(new URL("../dist/apps/cli/main.js", import.meta.url).href);
} else {
  const child = spawn(own ? process.execPath : bundled, [...args, ...process.argv.slice(2)], { stdio: "inherit" });
  // The terminal sends Ctrl+C to both; what is sent to us alone is passed on.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    console.error(`midotrace: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(code ?? (signal === null ? 1 : 128)));
}
