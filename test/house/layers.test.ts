import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

/** Everything `npm run check` needs to look at the sources. */
const COPIED = ["src", "package.json", "tsconfig.base.json", "tsconfig.build.json", ".oxlintrc.json"];
const ROOT = join(import.meta.dirname, "../..");

let scratch = "";

function run(command: string, ...args: string[]): { ok: boolean; output: string } {
  const result = spawnSync(process.execPath, [join(scratch, "node_modules", command), ...args], {
    cwd: scratch,
    encoding: "utf8",
  });
  return { ok: result.status === 0, output: result.stdout + result.stderr };
}

const compile = (): { ok: boolean; output: string } => run("typescript/bin/tsc", "-b", "tsconfig.build.json");
const lint = (): { ok: boolean; output: string } => run("oxlint/bin/oxlint", "--deny-warnings", "src/core");

/** Plants a file, checks, and takes it away again. */
function planted<T>(path: string, text: string, check: () => T): T {
  const file = join(scratch, path);
  writeFileSync(file, text);
  try {
    return check();
  } finally {
    rmSync(file);
  }
}

describe("the layers hold", () => {
  before(() => {
    scratch = mkdtempSync(join(tmpdir(), "midotrace-layers-"));
    for (const name of COPIED) cpSync(join(ROOT, name), join(scratch, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(scratch, "node_modules"));
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  it("accepts the house as it is", () => {
    const types = compile();
    assert.ok(types.ok, types.output);
    const style = lint();
    assert.ok(style.ok, style.output);
  });

  const forbidden: readonly [what: string, path: string, text: string, code: RegExp][] = [
    [
      "core → adapter",
      "src/core/flows/planted.ts",
      'import type { Fabric } from "#adapters/datapath-fabric";\nexport type Planted = Fabric;\n',
      /planted\.ts.*TS6307/,
    ],
    [
      "core → an upper room of the core",
      "src/core/flows/planted.ts",
      'import { Simulation } from "#core/simulation";\nexport const planted = Simulation;\n',
      /planted\.ts.*TS6307/,
    ],
    [
      "core → adapter by a relative path",
      "src/core/flows/planted.ts",
      'export { Fabric } from "../../adapters/datapath-fabric/index.ts";\n',
      /planted\.ts.*TS(6307|2878)/,
    ],
    [
      "core → node:fs",
      "src/core/base/planted.ts",
      'export { readFileSync } from "node:fs";\n',
      /planted\.ts.*TS(2591|2307)/,
    ],
    [
      "app → app",
      "src/apps/agent/planted.ts",
      'import type { Lab } from "#apps/lab";\nexport type Planted = Lab;\n',
      /planted\.ts.*TS6307/,
    ],
    [
      "app → adapter outside a main.ts",
      "src/apps/agent/planted.ts",
      'import { Fabric } from "#adapters/datapath-fabric";\nexport const planted = Fabric;\n',
      /planted\.ts.*TS6307/,
    ],
    [
      "web → server code",
      "src/apps/web/planted.ts",
      'import { ApiServer } from "#apps/api";\nexport const planted = ApiServer;\n',
      /planted\.ts.*TS6307/,
    ],
    [
      "web/model → the browser",
      "src/apps/web/model/planted.ts",
      "export const planted = document.title;\n",
      /planted\.ts.*TS(2304|2584)/,
    ],
    [
      "coming in by the window",
      "src/apps/agent/planted.ts",
      'import { isUuid } from "#core/base/ids.ts";\nexport const planted = isUuid;\n',
      /planted\.ts.*TS2307/,
    ],
  ];

  for (const [what, path, text, code] of forbidden) {
    it(`refuses ${what}`, () => {
      const { ok, output } = planted(path, text, compile);
      assert.equal(ok, false, "it compiled");
      assert.match(output, code);
    });
  }

  const impure: readonly [what: string, text: string, name: RegExp][] = [
    ["Date.now()", "export const planted = (): number => Date.now();\n", /Date/],
    ["new Date()", "export const planted = (): unknown => new Date();\n", /Date/],
    ["Math.random()", "export const planted = (): number => Math.random();\n", /Math\.random/],
  ];

  for (const [what, text, name] of impure) {
    it(`refuses ${what} in the core`, () => {
      const { ok, output } = planted("src/core/base/planted.ts", text, lint);
      assert.equal(ok, false, "it passed the linter");
      assert.match(output, name);
    });
  }
});
