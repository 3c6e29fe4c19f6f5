import { Dice } from "./dice.ts";

/*
 * Requests made from an OpenAPI document: as it says, nearly as it says, and hostile. What a field is called helps to hit
 * what it means: addresses, MACs, and ids that there are.
 */

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly format?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly $ref?: string;
}

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly schema: Schema;
}

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>;
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface MadeRequest {
  readonly operationId: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
  /** With the method that the document names for the path. */
  readonly asDeclared: boolean;
}

type Mood = "valid" | "nearly" | "hostile";

const TEXTS = [
  "",
  "a",
  "red",
  "null",
  "true",
  "0",
  "-1",
  "é",
  "\u0000",
  "../..",
  "%00",
  "{id}",
  "a".repeat(300),
  "\ud800",
  "__proto__",
  "<script>",
  "'; --",
  "🦊",
];
const NUMBERS: readonly unknown[] = [
  0,
  1,
  -1,
  65_535,
  65_536,
  4_095,
  2 ** 31,
  2 ** 53,
  1e308,
  0.5,
  "7",
  " 12 ",
  "0x10",
  "1e3",
];
const ODD: readonly unknown[] = [
  null,
  [],
  {},
  [[]],
  { a: { b: [null] } },
  true,
  "",
  0,
  [null, null],
  { toString: 1 },
  { constructor: null },
];
const ADDRESSES = [
  "10.0.0.1",
  "10.0.1.10",
  "0.0.0.0",
  "255.255.255.255",
  "10.0.0.256",
  "::1",
  "fe80::1%eth0",
  "1.2.3",
  "10.0.0.1/24",
];
const MACS = [
  "02:00:00:00:00:01",
  "ff:ff:ff:ff:ff:ff",
  "01:00:5e:00:00:01",
  "02-00-00-00-00-01",
  "2:0:0:0:0:1",
  "zz:00:00:00:00:00",
];
const EXPRESSIONS = [
  "tcp and dst port 80",
  "icmp",
  "src net 10.0.0.0/8 and not udp",
  "((((tcp",
  "port 99999",
  "and and",
  "not ".repeat(500) + "tcp",
  "ether src 02:00:00:00:00:01",
];
const RAW = [
  "",
  "{",
  "[",
  "nul",
  '{"a":}',
  '"',
  "[1,]",
  '{"a":1}{}',
  "NaN",
  "-",
  "1e999999",
  "\ufeff{}",
  "[".repeat(5_000),
  '{"a":'.repeat(3_000),
  '{"__proto__":{"admin":true}}',
  "99999999999999999999999999999999999999999999999",
];

export class RequestMaker {
  private readonly dice: Dice;
  private readonly document: OpenApi;
  private readonly operations: readonly { readonly method: string; readonly path: string; readonly op: Operation }[];
  /** Ids that there are, newest last. */
  private readonly ids: string[] = [];

  constructor(document: OpenApi, dice: Dice) {
    this.document = document;
    this.dice = dice;
    this.operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, op]) => ({ method: method.toUpperCase(), path, op })),
    );
  }

  /** What was made has this id. */
  learn(id: string): void {
    this.ids.push(id);
    if (this.ids.length > 500) this.ids.splice(0, 100);
  }

  next(): MadeRequest {
    const { dice } = this;
    const { method, path, op } = dice.pick(this.operations);
    const mood = dice.pick<Mood>(["valid", "valid", "nearly", "nearly", "hostile"]);
    const target = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(this.pathValue(name, mood)));
    const body = this.body(op, mood);
    const sent = mood === "hostile" && dice.one(10) ? dice.pick(["PATCH", "HEAD", "OPTIONS", "DELETE", "PUT"]) : method;
    return {
      operationId: op.operationId,
      method: sent,
      path: target.replaceAll("%7Bid%7D", "{id}") + this.query(op, mood),
      headers: this.headers(op, mood, body !== null),
      // A system that is set to read only would answer nothing else from then on.
      body:
        op.operationId === "updateSystemState" && body !== null
          ? Buffer.from(body.toString("latin1").replaceAll("READONLY", "READWRITE"), "latin1")
          : body,
      asDeclared: sent === method,
    };
  }

  /** The document knows this answer; a path that a hostile id has made another one, and bodies over a limit, are no operation's. */
  declares({ operationId }: MadeRequest, status: number): boolean {
    const op = this.operations.find((o) => o.op.operationId === operationId);
    return String(status) in (op?.op.responses ?? {}) || [404, 405, 413, 414].includes(status);
  }

  private pathValue(name: string, mood: Mood): string {
    const { dice } = this;
    if (mood === "hostile" && dice.one(2)) return dice.pick(TEXTS).toWellFormed() || "x";
    if (name === "version") return dice.pick(["4", "6", "5"]);
    if (name === "vlan") return dice.pick(["0", "5", "4096", "x"]);
    if (name === "entry")
      return dice.pick(["02-00-00-00-00-01_", "10.0.0.1_02-00-00-00-00-01", "_", "x"]) + (dice.one(2) ? this.id() : "");
    if (name === "addr") return dice.pick(ADDRESSES);
    return dice.one(6) ? dice.uuid() : this.id();
  }

  private id(): string {
    return this.ids.length === 0 ? this.dice.uuid() : this.dice.pick(this.ids);
  }

  private query(op: Operation, mood: Mood): string {
    const { dice } = this;
    const said = op.parameters.filter((p) => p.in === "query" && dice.one(2));
    const pairs = said.map((p): [string, string] => [p.name, String(this.value(p.schema, p.name, mood, 0))]);
    if (mood === "hostile") pairs.push([dice.pick(TEXTS), dice.pick(TEXTS)]);
    if (mood !== "valid" && pairs[0] !== undefined && dice.one(4)) pairs.push([pairs[0][0], "twice"]);
    if (pairs.length === 0) return "";
    return `?${pairs.map(([k, v]) => `${encodeURIComponent(k.toWellFormed())}=${encodeURIComponent(v.toWellFormed())}`).join("&")}`;
  }

  private headers(op: Operation, mood: Mood, body: boolean): Record<string, string> {
    const { dice } = this;
    const out: Record<string, string> = {};
    const served = Object.values(op.responses).flatMap((r) => Object.keys(r.content ?? {}));
    if (dice.one(2))
      out["accept"] =
        mood === "valid" && served.length > 0
          ? dice.pick(served)
          : dice.pick([
              "*/*",
              "text/html",
              "application/*;q=0.1",
              ";;;",
              "application/json;v=",
              "é",
              "a/b,".repeat(50),
            ]);
    if (body && dice.one(2))
      out["content-type"] =
        mood === "valid"
          ? dice.pick(Object.keys(op.requestBody?.content ?? { "application/json": {} }))
          : dice.pick([
              "application/json; charset=utf-16",
              "text/xml",
              "/",
              "application/json;;;",
              "multipart/form-data",
            ]);
    if (mood !== "hostile") return out;
    out["x-auth-token"] = dice.pick(["", "é", "a".repeat(500), "0"]);
    out["x-forwarded-host"] = dice.pick(["evil.example/..", "a, b", "[::1]:1", "\u00e9"]);
    out["x-forwarded-proto"] = dice.pick(["https", "javascript"]);
    out["last-event-id"] = dice.pick(["-1", "1e3", "9".repeat(30), "x"]);
    return out;
  }

  private body(op: Operation, mood: Mood): Buffer | null {
    const { dice } = this;
    if (op.requestBody === undefined) return mood === "hostile" && dice.one(3) ? Buffer.from(dice.pick(RAW)) : null;
    if (mood === "hostile" && dice.one(3)) return dice.one(4) ? dice.bytes(64) : Buffer.from(dice.pick(RAW));
    const schema = Object.values(op.requestBody.content)[0]?.schema ?? {};
    const text = JSON.stringify(this.value(schema, "", mood, 0)) ?? "null";
    if (mood !== "hostile" || !dice.one(4)) return Buffer.from(text.toWellFormed());
    const cut = Buffer.from(text.slice(0, dice.below(text.length + 1)));
    if (cut.length > 0) cut[dice.below(cut.length)] = dice.below(256);
    return cut;
  }

  private value(given: Schema, name: string, mood: Mood, depth: number): unknown {
    const { dice } = this;
    const schema =
      given.$ref === undefined ? given : (this.document.components.schemas[given.$ref.split("/").at(-1) ?? ""] ?? {});
    if (mood === "nearly" && depth > 0 && dice.one(12)) return dice.pick([...ODD, ...NUMBERS, ...TEXTS]);
    if (mood === "hostile" && depth > 0 && dice.one(4)) return dice.pick([...ODD, ...NUMBERS, ...TEXTS]);
    if (schema.enum !== undefined) return dice.pick(schema.enum);
    if (schema.const !== undefined) return schema.const;
    if (schema.anyOf !== undefined) return this.value(dice.pick(schema.anyOf), name, mood, depth + 1);
    const type = Array.isArray(schema.type) ? dice.pick(schema.type as string[]) : (schema.type ?? "string");
    switch (type) {
      case "object": {
        if (schema.properties === undefined)
          return dice.pick([
            {},
            { tpDst: { start: 80, end: 80 }, nwProto: 6 },
            { nwSrcAddress: "10.0.0.1", nwSrcLength: 24 },
          ]);
        const said = Object.entries(schema.properties).filter(() => !dice.one(3));
        return Object.fromEntries(said.map(([key, s]) => [key, this.value(s, key, mood, depth + 1)]));
      }
      case "array":
        return Array.from({ length: dice.below(3) }, () => this.value(schema.items ?? {}, name, mood, depth + 1));
      case "integer":
      case "number":
        return dice.one(3) ? dice.pick(NUMBERS) : dice.below(100);
      case "boolean":
        return dice.one(2);
      case "null":
        return null;
      default:
        return this.text(schema, name);
    }
  }

  private text(schema: Schema, name: string): string {
    const { dice } = this;
    if (schema.format === "uuid" || /id$/i.test(name)) return name === "id" || dice.one(8) ? dice.uuid() : this.id();
    if (/mac|^dl(src|dst)$/i.test(name)) return dice.pick(MACS);
    if (/addr|gateway|^ip/i.test(name)) return dice.pick(ADDRESSES);
    if (/condition|packet|match/i.test(name)) return dice.pick(EXPRESSIONS);
    if (name === "device")
      return `http://h/midonet-api/${dice.pick(["bridges", "routers", "ports", "chains"])}/${this.id()}`;
    return dice.one(4) ? dice.pick(TEXTS) : `n${dice.below(1_000)}`;
  }
}
