import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openExporter, parseTarget } from "#adapters/exporters";
import { SeededRandom } from "#core/base";
import { VirtualTime } from "../../support/virtual-time.ts";

const time = new VirtualTime();
const parts = {
  unit: "flows",
  clock: time,
  scheduler: time,
  random: new SeededRandom(1),
  log: () => undefined,
  env: {},
} as const;
const refused = (url: string, message: RegExp) =>
  assert.rejects(
    async () => openExporter(url, parts),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, "USAGE");
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    },
  );

describe("export URLs", () => {
  it("say kind, place, and what else there is to say", () => {
    const t = parseTarget("elasticsearchs://user:p%40ss@es.example/my-flows?ca=/ca.pem&tenant=red");
    assert.deepEqual(
      [t.kind, t.tls, t.host, t.port, t.path, t.user, t.password, t.tenant, t.parameter("ca")],
      ["elasticsearch", true, "es.example", 9200, "my-flows", "user", "p@ss", "red", "/ca.pem"],
    );
    assert.equal(t.name, "elasticsearchs://es.example:9200/my-flows");
    const file = parseTarget("file:./a b.jsonl?keep=2");
    assert.deepEqual([file.kind, file.path, file.parameter("keep")], ["file", "./a b.jsonl", "2"]);
    assert.equal(parseTarget("otlp://[::1]").host, "::1");
  });

  it("have names without secrets", () => {
    for (const url of ["splunk://hunter2@h", "elasticsearch://u:hunter2@h", "otlp://u:hunter2@h:1"])
      assert.doesNotMatch(parseTarget(url).name, /hunter2/);
  });

  it("are refused with the reason, and without their secrets", async () => {
    await refused("kafka://h:1", /"kafka:" is none of file:PATH, elasticsearch:\/\//);
    await refused("files:/x", /none of/);
    await refused("file:", /needs a path/);
    await refused("logstash://h", /needs a host and a port/);
    await refused("elasticsearch://u:hunter2@h:99999", /not of the form elasticsearch:\/\/HOST:PORT/);
    await refused("elasticsearch://h?tennant=x", /no parameter "tennant"; did you mean tenant/);
    await refused("elasticsearch://h?ca=/x", /no parameter "ca"/);
    await refused("elasticsearch://h/UPPER", /"UPPER" cannot be the name of a data stream/);
    await refused("elasticsearch://u:hunter2@h?api-key-env=X", /the environment has no X/);
    await refused("elasticsearchs://h?ca=/no/such/file", /ca: ENOENT/);
    await refused("elasticsearchs://h?cert=/etc/hostname", /cert and key go together/);
    await refused("splunk://h:8088", /splunk needs a token/);
    await refused("splunk://hunter2@h/path", /takes no path/);
    await refused("splunk://hunter2@h?ack=maybe", /ack is true or false/);
    await refused("file:/x?keep=-1", /keep is a whole number, 0 or more/);
    await refused("file:/x?keep=1&keep=2", /keep takes one value/);
    await assert.rejects(
      async () => openExporter("otlp://h?headers-env=H", { ...parts, env: { H: "hunter2" } }),
      /headers-env: name=value/,
    );
  });

  it("take secrets from the environment", async () => {
    const env = { KEY: "abc", TOKEN: "t", HEADERS: "x-api-key=1, authorization=Bearer 2" };
    for (const url of [
      "elasticsearch://h?api-key-env=KEY",
      "splunk://h?token-env=TOKEN",
      "otlp://h?headers-env=HEADERS",
    ])
      await (await openExporter(url, { ...parts, env })).stop();
  });
});
