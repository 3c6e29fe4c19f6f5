import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { commandIndex } from "#apps/cli";
import { type CommandShape, fishScript, shapesOf, zshScript } from "#apps/cli/completion";
import { DROP_REASONS, VERDICTS } from "#core/tracing";
import { bashMissing, completed } from "../../support/bash-completion.ts";
import { missingPart } from "../../support/parts.ts";
import { midotrace, type Stub, stub } from "./support.ts";

const T1 = "77777777-7777-4777-8777-777777777777";
const F1 = "aaaaaaaa-7777-4777-8777-777777777777";
const scratch = mkdtempSync(join(tmpdir(), "midotrace-completion-"));
const planted = join(scratch, "planted");
/** What a tenant may call a trace request. */
const EVIL = `$(touch ${planted})\`touch ${planted}\`;touch ${planted}`;

let server: Stub;
before(async () => {
  let ids = 0;
  const idOf = (n: number): string => `0000000${n}-1111-4111-8111-111111111111`;
  const named = (...names: string[]) => ({
    body: JSON.stringify(names.map((name) => ({ id: idOf(ids++), name }))),
  });
  server = await stub({
    "GET /traces": {
      body: JSON.stringify([
        { id: T1, name: "web of red" },
        { id: F1, name: "" },
        { id: "x", name: EVIL },
      ]),
    },
    "GET /trace_devices": {
      body: JSON.stringify(
        [
          ["BRIDGE", "red-web"],
          ["BRIDGE", "red-db"],
          ["ROUTER", "red-router"],
          ["ROUTER", "provider-router"],
          ["PORT", "red-web/red-1"],
        ].map(([deviceType, name]) => ({ deviceType, deviceId: idOf(ids++), name })),
      ),
    },
    "GET /chains": named("red-guard"),
    "GET /hosts": named("host-a", "host-b"),
    [`GET /traces/${T1}`]: { body: JSON.stringify({ id: T1, name: "web of red" }) },
    [`GET /traces/${T1}/flows?limit=50`]: {
      body: JSON.stringify({ flows: [{ flowTraceId: F1, segments: [], cursor: "1" }], more: false, next: null }),
    },
  });
});
after(async () => {
  await server.close();
  rmSync(scratch, { recursive: true, force: true });
});

const env = (): Record<string, string> => ({ MIDOTRACE_API: server.url });

describe("completion in bash", { skip: missingPart(bashMissing()) }, () => {
  it("offers commands word by word", async () => {
    const first = await completed("midotrace ");
    assert.deepEqual(new Set(first), new Set((await commandIndex()).map((c) => c.name.split(" ", 1)[0])));
    assert.deepEqual(await completed("midotrace tr"), ["trace"]);
    assert.deepEqual(await completed("midotrace trace fl"), ["flows", "flow"]);
    assert.deepEqual(await completed("midotrace lab "), ["exec", "clean"]);
    assert.deepEqual(await completed("midotrace nothing "), []);
  });

  it("offers the options of the command, and of an option its values, however it is written", async () => {
    assert.deepEqual(await completed("midotrace trace flows x --drop"), ["--drop-reason"]);
    assert.deepEqual(await completed("midotrace api --sto"), ["--store"]);
    assert.deepEqual(await completed("midotrace trace flows --verdict "), Object.keys(VERDICTS));
    assert.deepEqual(await completed("midotrace trace flows --verdict=dr"), ["dropped"]);
    const reasons = Object.keys(DROP_REASONS).filter((r) => r.startsWith("router-"));
    assert.deepEqual(await completed("midotrace trace flows x --drop-reason router-"), reasons);
    assert.deepEqual(await completed("midotrace trace flows --limit "), [], "a number is free");
  });

  it("offers names of the server where a name is wanted, quoted", async () => {
    assert.deepEqual(await completed("midotrace trace show w", env()), ["web\\ of\\ red"]);
    assert.deepEqual(await completed("midotrace trace show aaaa", env()), [F1], "without a name, its id");
    assert.deepEqual(await completed("midotrace trace create --router ", env()), ["red-router", "provider-router"]);
    assert.deepEqual(await completed("midotrace simulate --port red-web/", env()), ["red-web/red-1"]);
    assert.deepEqual(await completed("midotrace trace flows x --device red-", env()), [
      "red-web",
      "red-db",
      "red-router",
      "red-web/red-1",
    ]);
    assert.deepEqual(await completed("midotrace trace flows x --limit 3 --host ", env()), ["host-a", "host-b"]);
    assert.deepEqual(await completed("midotrace topology show --chain ", env()), ["red-guard"]);
  });

  it("offers the flows of the request that was named before, from the server that was named before", async () => {
    assert.deepEqual(await completed(`midotrace trace flow --api ${server.url} ${T1} a`), [F1]);
    assert.deepEqual(await completed(`midotrace trace pin ${T1} l`, env()), ["latest"]);
  });

  it("never runs what somebody has put into a name", async () => {
    const offered = await completed("midotrace trace show ", env());
    assert.equal(offered.length, 3);
    assert.ok(!existsSync(planted));
    assert.match(offered[2] ?? "", /^\\\$\\\(touch/);
  });

  it("is silent while the server is away", async () => {
    assert.deepEqual(await completed("midotrace trace show ", { MIDOTRACE_API: "http://127.0.0.1:1" }), []);
  });
});

describe("completion in zsh and fish", () => {
  const scripts = async (): Promise<{ shapes: readonly CommandShape[]; zsh: string; fish: string }> => {
    const shapes = shapesOf(await Promise.all((await commandIndex()).map((entry) => entry.load())));
    return { shapes, zsh: zshScript(shapes), fish: fishScript(shapes) };
  };

  it("knows every command and every option", async () => {
    const { shapes, zsh, fish } = await scripts();
    for (const { name, options } of shapes) {
      assert.ok(zsh.includes(name.includes(" ") ? `'${name}')` : `'${name} '*)`), name);
      for (const { flag } of options) {
        assert.ok(zsh.includes(`'${flag}[`), `${name} ${flag}`);
        assert.ok(fish.includes(`-n '__midotrace_is ${name}' -l ${flag.slice(2)} `), `${name} ${flag}`);
      }
    }
  });

  it("is asked for by the name of the shell", async () => {
    const { zsh } = await scripts();
    assert.deepEqual(await midotrace(["completion", "zsh"]), { code: 0, out: zsh, err: "" });
    const wrong = await midotrace(["completion", "tcsh"]);
    assert.deepEqual([wrong.code, wrong.out], [2, ""]);
    assert.match(wrong.err, /bash, zsh and fish/);
  });
});
