// Builds the web UI where it can be built and is not, or is older than its sources: so that `npm ci && npm start` shows it.
// Plain JavaScript for any Node: npm calls it (prepare, prestart) also where only what runs was installed.
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../..");
const built = join(root, "dist-web/index.html");

/** When the newest file below was changed, ms. */
function newest(directory) {
  let latest = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    const at = entry.isDirectory() ? newest(path) : statSync(path).mtimeMs;
    if (at > latest) latest = at;
  }
  return latest;
}

const sources = [here, join(root, "src/core")];
const fresh = existsSync(built) && statSync(built).mtimeMs >= Math.max(...sources.map(newest));
if (!fresh && existsSync(join(root, "node_modules/vite"))) {
  const { build } = await import("vite");
  await build({ root: here, configFile: join(here, "vite.config.js"), logLevel: "warn" });
} else if (!existsSync(built)) {
  console.error("midotrace: the web UI is not built (npm install && npm run build:web); the API serves without it");
}
