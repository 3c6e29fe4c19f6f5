import assert from "node:assert/strict";
import { it } from "node:test";
import { parseZookeeperUrl } from "#adapters/nsdb-zookeeper";
import { MidotraceError } from "#core/base";

it("servers, root, credentials, TLS files and timeout", () => {
  assert.deepEqual(parseZookeeperUrl("zookeeper://h1:2181,h2,[::1]:2182/midonet/v1/"), {
    hosts: [
      { host: "h1", port: 2181 },
      { host: "h2", port: 2181 },
      { host: "::1", port: 2182 },
    ],
    chroot: "/midonet/v1",
    tls: null,
    auth: null,
    sessionTimeoutMs: null,
  });
  assert.deepEqual(
    parseZookeeperUrl(
      "zookeepers://us%40er:p%3A%2Fw:x@10.0.0.1/m?ca=%2Fetc%2Fca.pem&cert=c.pem&key=k.pem&timeout=15000",
    ),
    {
      hosts: [{ host: "10.0.0.1", port: 2281 }],
      chroot: "/m",
      tls: { caFile: "/etc/ca.pem", certFile: "c.pem", keyFile: "k.pem" },
      auth: { user: "us@er", password: "p:/w:x" },
      sessionTimeoutMs: 15_000,
    },
  );
  assert.deepEqual(parseZookeeperUrl("zookeepers://h/m").tls, {});
});

const wrong: readonly [string, RegExp][] = [
  ["file:/x", /must look like/],
  ["zookeeper:h1/m", /must look like/],
  ["zookeeper:///m", /no server is named/],
  ["zookeeper://h1,,h2/m", /name is empty/],
  ["zookeeper://::1:2181/m", /IPv6 address stands in brackets/],
  ["zookeeper://h1:0/m", /no possible port/],
  ["zookeeper://h1:70000/m", /no possible port/],
  ["zookeeper://h1:x/m", /no HOST:PORT/],
  ["zookeeper://h1", /must name the store's root/],
  ["zookeeper://h1/", /must name the store's root/],
  ["zookeeper://h1/a//b", /no path of nodes/],
  ["zookeeper://h1/a/../b", /no path of nodes/],
  ["zookeeper://h1/zookeeper/x", /belongs to ZooKeeper itself/],
  ["zookeeper://h1/%zz", /percent-encoded/],
  ["zookeeper://secret@h1/m", /user:password/],
  ["zookeeper://h1/m?ca=x", /is for zookeepers/],
  ["zookeepers://h1/m?cer=x", /unknown option cer; did you mean "cert"/],
  ["zookeepers://h1/m?cert=x", /cert and key belong together/],
  ["zookeeper://h1/m?timeout=5s", /timeout is in ms/],
  ["zookeeper://h1/m#x", /must look like/],
];
for (const [url, reason] of wrong) {
  it(`refuses ${url}`, () => {
    assert.throws(
      () => parseZookeeperUrl(url),
      (error) => {
        assert.ok(error instanceof MidotraceError && error.code === "USAGE");
        assert.match(error.message, reason);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });
}
