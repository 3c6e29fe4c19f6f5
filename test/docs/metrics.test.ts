import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { METRIC_SECTIONS, ROOT } from "./pages.ts";

const known = new Map(METRIC_SECTIONS.flatMap((s) => s.tables.flatMap((t) => Object.entries(t))));
/** Of prom-client, as far as dashboard and alerts use them. */
const OF_THE_PROCESS = /^(process|nodejs)_[a-z0-9_]+$/;
/** Words of PromQL that are no metrics. */
const WORDS = new Set(["by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool"]);

/** Names of metrics in an expression: identifiers outside of labels, groupings and functions. */
function metricsIn(expr: string): string[] {
  const bare = expr
    .replaceAll(/"[^"]*"/g, "")
    .replaceAll(/\{[^}]*\}/g, "")
    .replaceAll(/\[[^\]]*\]/g, "")
    .replaceAll(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, "");
  return [...bare.matchAll(/[a-zA-Z_:][\w:]*(?!\w*\s*\()/g)].map((m) => m[0]).filter((w) => !WORDS.has(w));
}

/** Of one metric: its labels, and for a histogram the names it is exposed by. */
function checkExpression(expr: string): void {
  const found = metricsIn(expr);
  assert.ok(found.length > 0, `no metric in ${expr}`);
  for (const name of found) {
    if (OF_THE_PROCESS.test(name)) continue;
    const family = known.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "");
    const spec = known.get(family);
    assert.ok(spec !== undefined, `no metric is called ${name}: ${expr}`);
    assert.equal(spec.kind === "histogram", family !== name, `${name} is a ${spec.kind}: ${expr}`);
    if (spec.kind === "counter") assert.match(expr, new RegExp(`(rate|increase)\\(${name}`), "a counter needs rate()");
  }
}

describe("the reference of metrics", () => {
  it("names follow Prometheus' rules", () => {
    for (const [name, { kind, help, labels = {} }] of known) {
      assert.match(name, /^midotrace_[a-z][a-z0-9_]*$/);
      assert.equal(kind === "counter", name.endsWith("_total"), name);
      if (kind === "histogram") assert.match(name, /_(seconds|bytes)$/);
      assert.match(help, /^[A-Z0-9].{10,}\.$/s, name);
      for (const label of Object.keys(labels)) assert.match(label, /^[a-z]+$/, name);
    }
  });
});

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[];
}

describe("docs/grafana", () => {
  it("midotrace.json is a dashboard whose expressions name metrics that exist, and whose panels do not overlap", () => {
    const text = readFileSync(join(ROOT, "docs/grafana/midotrace.json"), "utf8");
    const board = JSON.parse(text) as { readonly title: string; readonly panels: readonly Panel[] };
    assert.match(board.title, /Midotrace/);
    const drawn = board.panels.filter((p) => p.type !== "row");
    assert.ok(drawn.length >= 15, `${drawn.length} panels`);
    assert.equal(new Set(board.panels.map((p) => p.id)).size, board.panels.length, "ids");
    const taken = new Set<string>();
    for (const { title, gridPos, description, targets = [], type } of board.panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(x < 24 && !taken.has(`${x},${y}`), `${title} lies on another panel`);
          taken.add(`${x},${y}`);
        }
      if (type === "row") continue;
      assert.ok((description ?? "").length > 20, `${title}: what does it tell?`);
      assert.ok(targets.length > 0, title);
      for (const { expr } of targets) checkExpression(expr);
    }
  });

  it("alerts.yaml has rules on metrics that exist, each with what to do", () => {
    const { groups } = parse(readFileSync(join(ROOT, "docs/grafana/alerts.yaml"), "utf8")) as {
      groups: {
        name: string;
        rules: { alert: string; expr: string; for?: string; labels: object; annotations: Record<string, string> }[];
      }[];
    };
    const rules = groups.flatMap((g) => g.rules);
    assert.ok(rules.length >= 8, `${rules.length} rules`);
    assert.equal(new Set(rules.map((r) => r.alert)).size, rules.length);
    for (const { alert, expr, annotations, labels } of rules) {
      assert.match(alert, /^Midotrace[A-Z]\w+$/);
      checkExpression(expr);
      assert.match(String((labels as { severity?: unknown }).severity), /^(page|ticket)$/);
      assert.ok((annotations["summary"] ?? "").length > 10, alert);
      assert.ok((annotations["description"] ?? "").length > 40, `${alert}: what to do?`);
    }
  });

  it("a name that does not exist, and a counter without rate(), are found", () => {
    assert.throws(() => checkExpression("sum(rate(midotrace_api_nothing_total[5m]))"), /no metric is called/);
    assert.throws(() => checkExpression("midotrace_agent_traced_total > 5"), /needs rate/);
    assert.throws(() => checkExpression("rate(midotrace_store_seconds[5m])"), /is a histogram/);
    assert.deepEqual(metricsIn('sum by (le) (rate(a_bucket{x="b_c"}[5m])) / on (host) group_left (x) d_e > bool 1'), [
      "a_bucket",
      "d_e",
    ]);
  });
});
